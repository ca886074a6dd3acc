"""Access tokens of Google Cloud: fetched with a deployment's credentials, kept until shortly before they expire."""

from __future__ import annotations

import base64
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import certifi
import urllib3
from urllib3.exceptions import HTTPError

from app.errors import ProviderFailed
from app.providers.events import dumped
from app.providers.openai_answers import parsed

# Loaded with the first token of a service account: who has none spares 8 MB.
if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
METADATA_URI = "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# A call waits for its token, so a silent endpoint must not take long to be given up.
TIMEOUT = urllib3.Timeout(connect=5.0, read=10.0)
ASSERTION_SECONDS = 3600
# A token is not used in its last seconds: the call must still reach Google with it.
MARGIN_SECONDS = 60
LONGEST_ANSWER = 65536


@dataclass(frozen=True, slots=True)
class Token:
    """An access token; `expires_at` is in seconds of the epoch."""

    text: str = field(repr=False)
    expires_at: float


class Tokens:
    """The tokens of one process, by the credentials that they were fetched with.

    Of many callers who need the same new token one fetches it, and the others wait for what comes of it.
    """

    def __init__(self, fetch: Callable[[str | None], Token]) -> None:
        """`fetch` takes a deployment's credentials (None: the machine's own); it may raise ProviderFailed."""
        self._fetch = fetch
        self._lock = threading.Lock()
        self._held: dict[str | None, Future[Token]] = {}

    def get(self, credentials: str | None) -> str:
        """A token that is good for some time. Raises ProviderFailed."""
        with self._lock:
            held = self._held.get(credentials)
            mine = held is None or _is_over(held)
            if mine:
                held = self._held[credentials] = Future()
        assert held is not None  # noqa: S101 - as it is where it is not mine
        if mine:
            self._fill(held, credentials)
        return held.result().text

    def _fill(self, held: Future[Token], credentials: str | None) -> None:
        try:
            held.set_result(self._fetch(credentials))
        except ProviderFailed as error:
            held.set_exception(error)
        except BaseException:
            # Whoever waits must not wait for ever for a caller that was stopped.
            held.set_exception(ProviderFailed("The access token could not be fetched."))
            raise


def _is_over(held: Future[Token]) -> bool:
    """A failure is nobody's but theirs who waited for it; the next caller tries again."""
    if not held.done():
        return False
    return held.exception() is not None or held.result().expires_at - MARGIN_SECONDS <= time.time()


def fetched(credentials: str | None, metadata_uri: str = METADATA_URI) -> Token:
    """A new token. `credentials` are a JSON text or its path; None asks the machine, which must be Google's.

    Raises ProviderFailed, whose message never tells of what the credentials are made.
    """
    if credentials is None:
        return _answered("GET", metadata_uri, {"Metadata-Flavor": "Google"}, None)
    said = document(credentials)
    kind = said.get("type")
    if kind == "service_account":
        fields = {"grant_type": GRANT, "assertion": assertion(said, int(time.time()))}
    elif kind == "authorized_user":
        names = ("client_id", "client_secret", "refresh_token")
        fields = {"grant_type": "refresh_token"} | {name: str(said.get(name)) for name in names}
    else:
        raise ProviderFailed("vertex_credentials must be of a service_account or of an authorized_user.")
    uri = str(said.get("token_uri") or TOKEN_URI)
    if not uri.startswith(("https://", "http://")):
        raise ProviderFailed("The token_uri of vertex_credentials is no address.")
    return _answered("POST", uri, {"Content-Type": "application/x-www-form-urlencoded"}, urlencode(fields))


def document(credentials: str) -> dict[str, Any]:
    """What the credentials say. Raises ProviderFailed."""
    text = credentials.encode("utf-8", "surrogatepass")
    if not credentials.lstrip().startswith("{"):
        try:
            text = Path(credentials).read_bytes()
        except (OSError, ValueError) as error:
            raise ProviderFailed("The file of vertex_credentials cannot be read.") from error
    said = parsed(text)
    if not said:
        raise ProviderFailed("vertex_credentials are no JSON object.")
    return said


def assertion(said: Mapping[str, Any], now: int) -> str:
    """A JWT by which a service account asks for a token; `now` is in seconds of the epoch. Raises ProviderFailed.

    Rule: Google, "Using OAuth 2.0 for Server to Server Applications". The audience is the same for every token_uri.
    """
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    head = {"alg": "RS256", "typ": "JWT", "kid": said.get("private_key_id")}
    claims = {
        "iss": said.get("client_email"),
        "scope": SCOPE,
        "aud": TOKEN_URI,
        "iat": now,
        "exp": now + ASSERTION_SECONDS,
    }
    text = f"{_encoded(dumped(head))}.{_encoded(dumped(claims))}"
    return f"{text}.{_encoded(_private_key(said).sign(text.encode(), PKCS1v15(), SHA256()))}"


def _private_key(said: Mapping[str, Any]) -> RSAPrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    try:
        key = load_pem_private_key(str(said.get("private_key")).encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # What the library says of it may tell of the key.
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise ProviderFailed("The private_key of vertex_credentials is no RSA key.")
    return key


def _answered(method: str, uri: str, headers: dict[str, str], body: str | None) -> Token:
    try:
        response = _pool().request(
            method, uri, headers=headers, body=body, timeout=TIMEOUT, redirect=False, preload_content=False
        )
        answer = parsed(response.read(LONGEST_ANSWER))
        response.close()
    except (HTTPError, OSError) as error:
        raise ProviderFailed("No access token: Google's token endpoint cannot be reached.") from error
    token, seconds = answer.get("access_token"), answer.get("expires_in")
    if response.status != 200 or not isinstance(token, str) or not (token.isascii() and token.isprintable()):  # noqa: PLR2004 - RFC 6749, 5.1
        reason = answer.get("error")
        raise ProviderFailed(f"No access token: {reason if isinstance(reason, str) else response.status}.")
    return Token(token, time.time() + (seconds if type(seconds) is int else 0))


@cache
def _pool() -> urllib3.PoolManager:
    """Certificates are checked, and nothing is tried twice. Made late: a process that forks has no connections yet."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return urllib3.PoolManager(retries=False, ssl_context=context)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


TOKENS = Tokens(fetched)
