"""Where a deployment on Bedrock lives, and what opens it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import quote

from app.errors import ProviderFailed
from app.providers.aws_signing import AwsKeys, signed
from app.providers.base import JSON, Outgoing, Target
from app.vendors import BEDROCK_PATH

# It becomes a part of the host's name, so it must not end it.
REGION = re.compile(r"[a-z0-9-]+")
ARN = re.compile(r"arn:aws[a-z-]*:bedrock:(?P<region>[a-z0-9-]+):")


def call(target: Target, operation: str, body: bytes, model: str | None = None) -> Outgoing:
    """`POST {endpoint}/model/{model}/{operation}`, signed or with an API key of Bedrock's.

    `model` stands for the target's own. Raises ProviderFailed where there is no region or no key.
    """
    own_model, region = _model_and_region(target)
    url = f"{_endpoint(target, region)}/model/{quote(model or own_model, safe='')}/{operation}"
    sent = {"Content-Type": JSON}
    if target.api_key:
        sent["Authorization"] = f"Bearer {target.api_key}"
    else:
        if region is None:
            raise ProviderFailed(f"The deployment of {target.model!r} on Bedrock has no aws_region_name.")
        sent = signed(_keys(target), region, url, sent, body, datetime.now(UTC))
    # The answer is asked for uncompressed, because usage is read from it as it comes. What stands between the gateway
    # and AWS may change this header, so it is not signed.
    return Outgoing(url, sent | {"Accept-Encoding": "identity"}, body)


def model_of(target: Target) -> str:
    """The model as Bedrock names it, or an ARN."""
    return _model_and_region(target)[0]


def _model_and_region(target: Target) -> tuple[str, str | None]:
    """A region in the model's name goes first: a model by its ARN is nowhere else."""
    path = BEDROCK_PATH.match(target.model)
    model = target.model[path.end() :] if path else target.model
    arn = ARN.match(model)
    region = (path["region"] if path else None) or (arn["region"] if arn else None)
    return model, region or target.options.get("aws_region_name")


def _endpoint(target: Target, region: str | None) -> str:
    if base := target.options.get("aws_bedrock_runtime_endpoint") or target.api_base:
        return base.rstrip("/")
    if region is None or not REGION.fullmatch(region):
        raise ProviderFailed(f"The deployment of {target.model!r} on Bedrock has no aws_region_name.")
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://bedrock-runtime.{region}.{suffix}"


def _keys(target: Target) -> AwsKeys:
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    access, secret, token = (target.options.get(name) for name in names)
    if not access or not secret:
        raise ProviderFailed(
            f"The deployment of {target.model!r} on Bedrock has neither aws_access_key_id and aws_secret_access_key "
            "nor an api_key."
        )
    return AwsKeys(access, secret, token)
