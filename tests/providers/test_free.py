"""Routes that are free by declaration."""

from __future__ import annotations

from app.providers.base import Sent, Target, Whole
from app.providers.free import FreeFormat
from app.providers.openai import Bearer

FORMAT = FreeFormat(Bearer("https://api.openai.com/v1"), "moderations")
SENT = Sent("moderations", b'{"model": "ours", "input": "x"}', {"model": "ours", "input": "x"})
# API reference, "Create moderation": the example, shortened.
ANSWER = b'{ "id": "modr-0d9740456c391e43c445bf0f010940c7", "model": "omni-moderation-latest", "results": [] }'


def test_an_answer_passes_byte_for_byte_and_uses_nothing() -> None:
    assert FORMAT.whole(SENT, 200, ANSWER) == Whole(ANSWER, {})


def test_what_is_no_answer_is_not_taken_for_one() -> None:
    assert FORMAT.whole(SENT, 200, b"<html>").counts is None
    assert FORMAT.whole(SENT, 500, b"{}").counts is None


def test_only_the_model_changes_on_the_way() -> None:
    outgoing = FORMAT.prepare(Target("omni-moderation-latest", api_key="k"), SENT)
    assert outgoing.body == b'{"model": "omni-moderation-latest", "input": "x"}'
