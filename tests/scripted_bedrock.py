"""A Bedrock on loopback: real HTTP, real frames, and a signature that AWS's own library must find right.

    with ScriptedBedrock() as bedrock:
        bedrock.url                                         # aws_bedrock_runtime_endpoint
        bedrock.answers["converse"] = Answer(200, b"{}")    # what the operation answers from now on
        bedrock.calls                                       # what came

A call whose signature or API key is wrong gets 403, as from AWS.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ACCESS_KEY, SECRET_KEY, SESSION_TOKEN = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "IQoJb3+/="
API_KEY = "bedrock-api-key-123"
REGION = "eu-central-1"
FRAMES = "application/vnd.amazon.eventstream"
KEYS = {
    "aws_access_key_id": ACCESS_KEY,
    "aws_secret_access_key": SECRET_KEY,
    "aws_session_token": SESSION_TOKEN,
    "aws_region_name": REGION,
}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Call:
    model: str
    operation: str
    headers: dict[str, str]
    body: dict[str, Any]


class ScriptedBedrock:
    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.calls: list[Call] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if not self._is_genuine(path, headers, body):
            message = "The request signature we calculated does not match the signature you provided."
            return Answer(403, json.dumps({"message": message}).encode())
        _, _, model, operation = path.split("/")
        self.calls.append(Call(unquote(model), operation, headers, json.loads(body)))
        return self.answers[operation]

    def _is_genuine(self, path: str, headers: dict[str, str], body: bytes) -> bool:
        proof = headers["authorization"]
        if proof.startswith("Bearer "):
            return proof == f"Bearer {API_KEY}"
        names = proof.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        token = headers.get("x-amz-security-token")
        signed = {name: headers[name] for name in names}
        request = AWSRequest("POST", self.url + path, headers=signed, data=body)
        request.context["timestamp"] = headers["x-amz-date"]
        auth = SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY, token), "bedrock", REGION)
        signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
        credential = f"Credential={auth.scope(request)},"
        return credential in proof and proof.endswith(f"Signature={signature}") and token in {None, SESSION_TOKEN}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        bedrock = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = bedrock.answer(self.path, headers, body)
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.content_type)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
