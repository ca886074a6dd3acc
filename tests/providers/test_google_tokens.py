"""Access tokens are asked for as Google's own library understands it, once for all who need one."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.errors import ProviderFailed
from app.providers.google_tokens import MARGIN_SECONDS, SCOPE, Token, Tokens, fetched
from tests.scripted_vertex import AUDIENCE, EMAIL, METADATA_PATH, REFRESH, Answer, ScriptedVertex


@pytest.fixture
def vertex() -> Iterator[ScriptedVertex]:
    with ScriptedVertex() as server:
        yield server


def test_a_service_account_proves_who_it_is(vertex: ScriptedVertex) -> None:
    before = int(time.time())
    token = fetched(vertex.credentials())
    (claims,) = vertex.exchanges
    assert (claims["iss"], claims["scope"], claims["aud"]) == (EMAIL, SCOPE, AUDIENCE)
    assert (claims["iat"] >= before, claims["exp"] - claims["iat"]) == (True, 3600)
    assert (token.text, token.expires_at >= before + 3599) == ("ya29.1", True)


def test_the_credentials_may_be_a_file(vertex: ScriptedVertex, tmp_path: Path) -> None:
    path = tmp_path / "account.json"
    path.write_text(vertex.credentials())
    assert fetched(str(path)).text == "ya29.1"


def test_a_persons_refresh_token_is_exchanged(vertex: ScriptedVertex) -> None:
    person = {"type": "authorized_user", "token_uri": f"{vertex.origin}/token"} | REFRESH
    fetched(json.dumps(person))
    assert vertex.exchanges == [REFRESH]


def test_a_machine_of_googles_has_a_token_of_its_own(vertex: ScriptedVertex) -> None:
    assert fetched(None, vertex.origin + METADATA_PATH).text == "ya29.1"
    assert vertex.exchanges == [{"machine": True}]


def test_a_token_serves_until_shortly_before_it_expires(vertex: ScriptedVertex) -> None:
    tokens = Tokens(fetched)
    assert {tokens.get(vertex.credentials()) for _ in range(3)} == {"ya29.1"}
    assert tokens.get(vertex.credentials(private_key_id="k1", quota_project_id="other")) == "ya29.2"
    assert len(vertex.exchanges) == 2


@pytest.mark.parametrize(("seconds", "exchanges"), [(MARGIN_SECONDS - 1, 2), (MARGIN_SECONDS + 30, 1)])
def test_a_token_in_its_last_seconds_is_replaced(vertex: ScriptedVertex, seconds: int, exchanges: int) -> None:
    tokens = Tokens(fetched)
    vertex.token_seconds = seconds
    for _ in range(2):
        tokens.get(vertex.credentials())
    assert len(vertex.exchanges) == exchanges


def test_many_callers_share_one_exchange(vertex: ScriptedVertex) -> None:
    tokens, credentials = Tokens(fetched), vertex.credentials()
    vertex.token_delay = 0.3
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda _: tokens.get(credentials), range(20)))
    assert (set(found), len(vertex.exchanges)) == ({"ya29.1"}, 1)


def test_a_failure_is_shared_by_those_who_wait_and_forgotten_by_the_next() -> None:
    begun, go_on = threading.Event(), threading.Event()
    asked = []

    def fetch(credentials: str | None) -> Token:
        asked.append(credentials)
        begun.set()
        assert go_on.wait(10)
        if len(asked) == 1:
            raise ProviderFailed("No access token.")
        return Token("t", time.time() + 3600)

    tokens = Tokens(fetch)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(tokens.get, "c")
        assert begun.wait(10)
        others = [pool.submit(tokens.get, "c") for _ in range(3)]
        go_on.set()
        errors = [call.exception() for call in (first, *others)]
    # Those who came while the first was still asking share its failure; one who came later asked anew.
    assert isinstance(errors[0], ProviderFailed)
    assert tokens.get("c") == "t"
    assert len(asked) == 2


def test_who_waits_is_not_left_waiting_by_a_caller_that_was_stopped() -> None:
    def fetch(_credentials: str | None) -> Token:
        raise KeyboardInterrupt

    tokens = Tokens(fetch)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            tokens.get("c")


def message(credentials: str) -> str:
    with pytest.raises(ProviderFailed) as caught:
        fetched(credentials)
    return caught.value.message


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(400, b'{"error": "invalid_grant", "error_description": "Bad"}'), "invalid_grant"),
        (Answer(500, b"<html>"), "500"),
        (Answer(200, b"{}"), "200"),
        (Answer(200, b'{"access_token": 1}'), "200"),
        (Answer(200, b'{"access_token": "a\\nb"}'), "200"),
        (Answer(302, b'{"access_token": "t"}'), "302"),
    ],
)
def test_an_answer_without_a_token_is_a_failure_of_the_providers(
    vertex: ScriptedVertex, answer: Answer, words: str
) -> None:
    vertex.token_answer = answer
    assert words in message(vertex.credentials())


def test_an_endpoint_that_is_not_there_is_a_failure_of_the_providers(vertex: ScriptedVertex) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{free.getsockname()[1]}/token"
        assert "cannot be reached" in message(vertex.credentials(token_uri=uri))
    assert "no address" in message(vertex.credentials(token_uri="nowhere"))


def of_another_kind() -> str:
    return (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        .decode()
    )


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"private_key": "-----BEGIN hidden"}, "no RSA key"),
        ({"private_key": None}, "no RSA key"),
        ({"private_key": of_another_kind()}, "no RSA key"),
        ({"type": "external_account"}, "service_account"),
    ],
)
def test_credentials_that_cannot_be_used_tell_why_and_nothing_of_themselves(
    vertex: ScriptedVertex, changed: dict[str, Any], words: str
) -> None:
    told = message(vertex.credentials(**changed))
    assert (words in told, "hidden" in told, "BEGIN" in told) == (True, False, False)
    assert vertex.exchanges == []


@pytest.mark.parametrize("credentials", ["/no/such/file.json", "{not json", "\0", "{}"])
def test_credentials_that_are_none_are_a_failure_of_the_providers(credentials: str) -> None:
    assert "vertex_credentials" in message(credentials)


def test_a_signature_of_another_account_is_refused(vertex: ScriptedVertex) -> None:
    other = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert "invalid_grant" in message(vertex.credentials(private_key=other.decode()))


def test_a_token_shows_nothing_of_itself() -> None:
    assert repr(Token("ya29.secret", 1.0)) == "Token(expires_at=1.0)"
