"""A Vertex AI on loopback, with the token endpoint that stands before it: JWTs are read by Google's own library.

    with ScriptedVertex() as vertex:
        vertex.credentials()                  # the JSON of a service account whose token_uri is this server
        vertex.url                            # api_base
        vertex.answers["generateContent"] = Answer(200, b"{}")
        vertex.calls, vertex.exchanges        # what came

A call without a token that was given out here gets 401, as from Google.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from google.auth import jwt

EMAIL = "gateway@my-project.iam.gserviceaccount.com"
AUDIENCE = "https://oauth2.googleapis.com/token"
METADATA_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"
REFRESH = {"client_id": "id.apps", "client_secret": "shh", "refresh_token": "1//refresh"}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    content_type: str = "application/json; charset=UTF-8"


@dataclass(frozen=True, slots=True)
class Call:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@cache
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


class ScriptedVertex:
    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.calls: list[Call] = []
        self.exchanges: list[dict[str, Any]] = []
        # Of the next exchanges: an answer of theirs, how long they take and how long their tokens live, in seconds.
        self.token_answer: Answer | None = None
        self.token_delay = 0.0
        self.token_seconds = 3599
        self._tokens: set[str] = set()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.url = f"{self.origin}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def credentials(self, **changed: Any) -> str:
        pem = key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        account = {
            "type": "service_account",
            "project_id": "my-project",
            "private_key_id": "k1",
            "private_key": pem,
            "client_email": EMAIL,
            "token_uri": f"{self.origin}/token",
        }
        return json.dumps(account | changed, indent=2)

    def token(self, claims: dict[str, Any]) -> Answer:
        time.sleep(self.token_delay)
        with self._lock:
            self.exchanges.append(claims)
            token = f"ya29.{len(self.exchanges)}"
            self._tokens.add(token)
        given = {"access_token": token, "expires_in": self.token_seconds, "token_type": "Bearer"}
        return self.token_answer or Answer(200, json.dumps(given).encode())

    def exchange(self, form: dict[str, str]) -> Answer:
        if form["grant_type"] == "refresh_token":
            return self.token({name: form[name] for name in REFRESH})
        public = key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        try:
            claims = dict(jwt.decode(form["assertion"], {"k1": public}, audience=AUDIENCE))  # type: ignore[no-untyped-call]
        except ValueError:
            return Answer(400, b'{"error": "invalid_grant", "error_description": "Invalid JWT Signature."}')
        return self.token(claims)

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if headers.get("authorization", "").removeprefix("Bearer ") not in self._tokens:
            error = {
                "code": 401,
                "message": "Request had invalid authentication credentials.",
                "status": "UNAUTHENTICATED",
            }
            return Answer(401, json.dumps({"error": error}).encode())
        self.calls.append(Call(path, headers, json.loads(body)))
        return self.answers[path.rpartition(":")[2]]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        vertex = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                known = self.path == METADATA_PATH and self.headers["Metadata-Flavor"] == "Google"
                self.send(vertex.token({"machine": True}) if known else Answer(403, b"{}"))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/token":
                    fields = parse_qs(body.decode(), strict_parsing=True)
                    self.send(vertex.exchange({name: values[0] for name, values in fields.items()}))
                    return
                self.send(vertex.answer(self.path, {name.lower(): value for name, value in self.headers.items()}, body))

            def send(self, answer: Answer) -> None:
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.content_type)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
