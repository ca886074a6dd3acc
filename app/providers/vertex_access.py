"""Where a model on Vertex AI lives, and what opens it."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote

from app.errors import ProviderFailed
from app.providers.base import JSON, Target
from app.providers.google_tokens import TOKENS, document

# Locations that are more than one region have hosts of their own (Google, "Deployments and endpoints").
HOSTS = {
    "global": "aiplatform.googleapis.com",
    "us": "aiplatform.us.rep.googleapis.com",
    "eu": "aiplatform.eu.rep.googleapis.com",
}
# Both become parts of an address, which they must not lead elsewhere.
NAME = re.compile(r"[A-Za-z0-9.:_-]+")


def model_url(target: Target, publisher: str, model: str, method: str) -> str:
    """`{base}/projects/{project}/locations/{location}/publishers/{publisher}/models/{model}:{method}`.

    An api_base stands for the host and the version ("https://…/v1"). Raises ProviderFailed where a part is missing.
    """
    project = target.options.get("vertex_project") or _project_of(target.options.get("vertex_credentials"))
    location = target.options.get("vertex_location")
    for name, value in (("vertex_project", project), ("vertex_location", location)):
        if value is None or not NAME.fullmatch(value):
            raise ProviderFailed(f"The deployment of {target.model!r} on Vertex AI has no {name}.")
    host = HOSTS.get(str(location), f"{location}-aiplatform.googleapis.com")
    base = (target.api_base or f"https://{host}/v1").rstrip("/")
    path = f"projects/{project}/locations/{location}/publishers/{publisher}/models/{quote(model, safe='@')}"
    return f"{base}/{path}:{method}"


def request_headers(target: Target) -> dict[str, str]:
    """The headers of a call, with an access token or an API key. Raises ProviderFailed where there is none.

    The answer is asked for uncompressed, because usage is read from it as it comes.
    """
    headers = {"Content-Type": JSON, "Accept-Encoding": "identity"}
    if target.api_key:
        return headers | {"x-goog-api-key": target.api_key}
    credentials = target.options.get("vertex_credentials")
    if credentials is None and target.api_base:
        # The machine's own token is for Google alone.
        raise ProviderFailed(f"The deployment of {target.model!r} has an api_base, and no vertex_credentials.")
    return headers | {"Authorization": f"Bearer {TOKENS.get(credentials)}"}


@lru_cache(maxsize=1000)
def _project_of(credentials: str | None) -> str | None:
    """The project that a service account belongs to."""
    project = document(credentials).get("project_id") if credentials else None
    return project if isinstance(project, str) else None
