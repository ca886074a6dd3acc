"""One deployment is called: what goes to it, and what comes back, is bounded and honest."""

from __future__ import annotations

import pytest

from app.errors import ProviderFailed
from app.gateway import call
from app.gateway.call import LocalAnswer, whole_body
from app.http import Headers


def test_a_whole_answer_is_its_pieces() -> None:
    assert whole_body(LocalAnswer(200, {}, [b"one", b"", b"two"])) == b"onetwo"


def test_an_answer_as_large_as_may_be_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "MOST_BODY_BYTES", 6)
    assert whole_body(LocalAnswer(200, {}, [b"one", b"two"])) == b"onetwo"


def test_an_answer_without_end_fails_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "MOST_BODY_BYTES", 6)
    pieces = iter([b"one", b"two", b"x", b"never read"])
    with pytest.raises(ProviderFailed, match="too large"):
        whole_body(LocalAnswer(200, {}, pieces))
    assert next(pieces) == b"never read"


def test_an_answer_of_embeddings_written_out_as_numbers_is_not_too_large() -> None:
    assert 2048 * 3072 * len("-0.012345678901234567,") < call.MOST_BODY_BYTES


def test_headers_of_our_own_are_found_by_any_case() -> None:
    headers = Headers.of({"Content-Type": "text/event-stream"})
    assert headers.get("content-type") == headers["CONTENT-TYPE"] == "text/event-stream"
    assert dict(headers) == {"content-type": "text/event-stream"}
