"""Images are counted, and so are the tokens that they take where the provider tells them."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.providers.azure import Azure
from app.providers.base import Sent, Target, Whole
from app.providers.images import ImagesFormat, ImagesReader
from app.providers.openai import Bearer
from tests.providers.forms import KIND, form
from tests.providers.streams import event, outcome, read

FORMAT = ImagesFormat(Bearer("https://api.openai.com/v1"), "images/edits")
SENT = Sent("images/generations", b'{"model":"ours","prompt":"a cat"}', {"model": "ours", "prompt": "a cat"})
# API reference, "Create image" and "Create image edit": the examples.
USAGE = {
    "total_tokens": 100,
    "input_tokens": 50,
    "output_tokens": 50,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
}
COUNTS = {"input": 50, "output": 50, "image_input": 40, "image_output": 50, "images": 1}
PARTIAL = {"type": "image_generation.partial_image", "b64_json": "iVBO", "partial_image_index": 0}
COMPLETED = {"type": "image_generation.completed", "b64_json": "iVBO", "usage": USAGE}
EDITED = {"type": "image_edit.completed", "b64_json": "iVBO", "usage": USAGE}


def whole(answer: dict[str, Any], status: int = 200) -> Whole:
    return FORMAT.whole(SENT, status, json.dumps(answer).encode())


def streamed(*events: dict[str, Any], images: int = 1) -> ImagesReader:
    reader = ImagesReader(images)
    read(reader, b"".join(event(one) for one in events))
    return reader


def test_a_gpt_image_is_counted_by_its_tokens_and_by_the_piece() -> None:
    assert whole({"created": 1, "data": [{"b64_json": "iVBO"}], "usage": USAGE}).counts == COUNTS


@pytest.mark.parametrize("last", [COMPLETED, EDITED])
def test_a_stream_has_the_usage_of_the_whole_answer(last: dict[str, Any]) -> None:
    assert streamed(PARTIAL, PARTIAL, last).counts == COUNTS


def test_output_that_is_told_apart_is_counted_apart() -> None:
    usage = USAGE | {"output_tokens_details": {"text_tokens": 20, "image_tokens": 30}}
    assert whole({"data": [{}], "usage": usage}).counts == COUNTS | {"image_output": 30}


def test_images_of_other_vendors_are_counted_by_the_piece() -> None:
    assert whole({"created": 1, "data": [{"url": "https://a"}, {"url": "https://b"}]}).counts == {"images": 2}


def test_a_drawing_that_a_text_model_has_written_takes_tokens_too() -> None:
    svg = {"model": "m", "input_tokens": 7, "output_tokens": 11, "reasoning_tokens": 3, "total_tokens": 18}
    answer = {"data": [{}], "usage": USAGE, "svg_usage": svg}
    assert whole(answer).counts == COUNTS | {"input": 57, "output": 61}


def test_several_images_of_a_stream_are_paid_together_and_the_last_is_the_end() -> None:
    reader = ImagesReader(2)
    pieces, _ = read(reader, event(COMPLETED) + event(PARTIAL) + event(COMPLETED))
    assert pieces == [event(COMPLETED) + event(PARTIAL), event(COMPLETED)]
    assert reader.counts == {kind: 2 * amount for kind, amount in COUNTS.items()}


def test_fewer_images_than_were_asked_for_are_an_answer() -> None:
    reader = streamed(COMPLETED, images=2)
    assert (reader.finished, reader.counts) == (True, COUNTS)


def test_a_stream_without_any_image_is_not_whole() -> None:
    reader = streamed(PARTIAL)
    assert (reader.finished, reader.counts) == (False, None)


def test_a_partial_image_is_no_text() -> None:
    assert streamed(PARTIAL).text_bytes == 0


def test_an_error_has_no_usage() -> None:
    assert whole({"error": {}}, 400) == Whole(b'{"error": {}}')
    assert whole({"error": {}}).counts is None


def test_a_form_goes_out_as_it_came_but_for_the_model() -> None:
    raw = form([('name="image[]"; filename="a.png"', b"\x89PNG"), ('name="model"', b"ours"), ('name="prompt"', b"x")])
    sent = Sent("images/edits", raw, {"model": "ours", "prompt": "x"}, content_type=KIND)
    outgoing = FORMAT.prepare(Target("gpt-image-1", api_key="k"), sent)
    assert outgoing.body == raw.replace(b"ours", b"gpt-image-1")
    assert (outgoing.url, outgoing.headers["Content-Type"]) == ("https://api.openai.com/v1/images/edits", KIND)


def test_json_goes_to_azures_deployment() -> None:
    target = Target("pictures", api_base="https://a.openai.azure.com", api_key="k", api_version="2025-04-01-preview")
    outgoing = ImagesFormat(Azure(), "images/generations").prepare(target, SENT)
    path = "/openai/deployments/pictures/images/generations?api-version=2025-04-01-preview"
    assert outgoing.url == "https://a.openai.azure.com" + path
    assert outgoing.headers["Content-Type"] == "application/json"
    assert orjson.loads(outgoing.body) == {"model": "pictures", "prompt": "a cat"}


EVENTS = st.sampled_from(
    [
        *(event(one) for one in (PARTIAL, COMPLETED, EDITED)),
        b"data: [DONE]\n\n",
        b": ping\n\n",
        b'data: {"type":"x.completed"}\r\n\r\n',
    ]
)


@settings(deadline=None)
@given(st.lists(EVENTS | st.binary(max_size=4), max_size=5), st.lists(st.integers(0, 900)), st.integers(1, 3))
def test_every_way_to_cut_a_stream_up_gives_the_same(events: list[bytes], cuts: list[int], images: int) -> None:
    stream = b"".join(events)
    assert outcome(lambda: ImagesReader(images), stream, cuts) == outcome(lambda: ImagesReader(images), stream, [])
