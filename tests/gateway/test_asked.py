"""What is read from a request before anything is taken for it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadRequest
from app.gateway.asked import Request, parse

CHAT = "chat/completions"
HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def asked(**fields: Any) -> Any:
    return parse(Request(CHAT, orjson.dumps(HELLO | fields), {}))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", "request_body"),
        (b"[]", "request_body"),
        (b'"text"', "request_body"),
        (b"\xff\xfe", "request_body"),
        (b'{"messages": []}', "model"),
        (b'{"model": 5, "messages": []}', "model"),
        (b'{"model": "", "messages": []}', "model"),
        (b'{"model": "m"}', "messages"),
        (b'{"model": "m", "messages": [], "stream": "yes"}', "stream"),
        (b'{"model": "m", "messages": [], "stream_options": 1}', "stream_options"),
        (b'{"model": "m", "messages": [], "max_tokens": -1}', "max_tokens"),
        (b'{"model": "m", "messages": [], "max_tokens": 1.5}', "max_tokens"),
        (b'{"model": "m", "messages": [], "max_completion_tokens": true}', "max_completion_tokens"),
        (b'{"model": "m", "messages": [], "n": 0}', "n"),
        (b'{"model": "m", "messages": [], "n": 1000000}', "n"),
    ],
)
def test_a_bad_body_is_refused_with_the_name_of_its_field(body: bytes, field: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse(Request(CHAT, body, {}))
    assert refused.value.param == field


def test_the_larger_of_two_stated_caps_counts() -> None:
    assert asked(max_tokens=1, max_completion_tokens=10_000).output_cap == 10_000


def test_a_request_without_a_cap_says_so() -> None:
    assert asked().output_cap is None


def test_a_cap_of_zero_is_a_cap() -> None:
    assert asked(max_tokens=0).output_cap == 0


def test_no_cap_is_more_than_can_be_booked() -> None:
    assert asked(max_tokens=10**18).output_cap == 10**9


def test_every_choice_is_paid_for() -> None:
    assert asked(n=3).choices == 3


def test_several_prompts_are_answered_one_by_one() -> None:
    assert parse(Request("completions", b'{"model": "m", "prompt": ["a", "b"], "n": 2}', {})).choices == 4


def test_a_prompt_of_token_numbers_is_one_prompt() -> None:
    assert parse(Request("completions", b'{"model": "m", "prompt": [1, 2, 3]}', {})).choices == 1


def test_the_model_in_the_url_counts_on_azure_style_routes() -> None:
    assert parse(Request(CHAT, b'{"messages": []}', {}, "gpt-4o")).model == "gpt-4o"


@given(st.text())
def test_the_input_bound_covers_every_byte_of_text(text: str) -> None:
    assert asked(messages=[{"role": "user", "content": text}]).input_bound >= len(text.encode())


def test_an_inline_image_is_not_counted_by_its_bytes() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1_000_000}}
    assert asked(messages=[{"role": "user", "content": [image]}]).input_bound < 20_000


def test_a_linked_image_counts_for_more_than_its_link() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    assert asked(messages=[{"role": "user", "content": [image]}]).input_bound > 3000


def test_text_beside_an_inline_image_is_counted() -> None:
    parts = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
        {"type": "text", "text": "b" * 9000},
    ]
    assert asked(messages=[{"role": "user", "content": parts}]).input_bound > 9000


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}


@given(st.text(min_size=1000), st.sampled_from(["data", "file_data", "source"]))
def test_a_text_beside_an_inline_image_is_counted_whatever_it_is_called(text: str, name: str) -> None:
    used = {"type": "tool_use", "id": "t", "name": "f", "input": {name: text}}
    assert asked(messages=[{"role": "user", "content": [IMAGE, used]}]).input_bound > len(text.encode())


def anthropic_image(**source: str) -> dict[str, Any]:
    return {"type": "image", "source": source}


@pytest.mark.parametrize(
    "image",
    [
        anthropic_image(type="base64", media_type="image/png", data="A" * 1_000_000),
        anthropic_image(type="base64", media_type="image/png", data="A"),
        anthropic_image(type="url", url="https://example.com/a.png"),
        anthropic_image(type="file", file_id="file_1"),
    ],
)
def test_anthropics_images_are_counted_by_what_they_show(image: dict[str, Any]) -> None:
    # Vision, Calculate image costs: an image of high resolution takes up to 4784 tokens.
    assert 4784 < asked(messages=[{"role": "user", "content": [image]}]).input_bound < 20_000


def test_an_image_whose_type_is_written_with_escapes_is_an_image() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":[{"type":"im\\u0061ge","source":{"type":"url"}}]}]}'
    assert parse(Request("messages", body, {})).input_bound > 4784


def test_a_long_recording_in_a_message_is_counted_by_its_length() -> None:
    # Gemini, "Understanding audio": 32 tokens a second; a second of speech has 2000 bytes at the least.
    recording = {"type": "input_audio", "input_audio": {"data": "A" * 4_000_000, "format": "mp3"}}
    assert asked(messages=[{"role": "user", "content": [recording]}]).input_bound > 32 * 3_000_000 / 2000


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text", "text": "data:image/png;base64," + "word " * 20_000},
        {"type": "text", "text": "word " * 20_000 + ";base64,"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": [[]] * 50_000}},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": [{}] * 50_000}},
    ],
)
def test_nothing_that_is_no_medium_is_counted_as_one(part: dict[str, Any]) -> None:
    assert asked(messages=[{"role": "user", "content": [IMAGE, part]}]).input_bound > 100_000


def test_a_part_of_any_shape_beside_an_inline_image_is_counted() -> None:
    assert asked(messages=[{"role": "user", "content": [IMAGE, {"type": ["image"], "source": []}]}]).input_bound > 5000
