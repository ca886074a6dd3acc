"""What each of OpenAI's other routes asks of a request, and how much a call can take as far as it says."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadRequest
from app.gateway.asked import Asked, Request, parse
from app.providers.mock_media import wav
from tests.providers.forms import KIND, form

FORM = {"content-type": KIND}
FILE = ('name="file"; filename="a.wav"', wav())
IMAGE = ('name="image"; filename="a.png"', b"\x89PNG")
LEAST: dict[str, dict[str, Any]] = {
    "responses": {"input": "hi"},
    "responses/compact": {"input": "hi"},
    "responses/input_tokens": {"input": "hi"},
    "images/generations": {"prompt": "hi"},
    "images/edits": {"prompt": "hi", "images": [{"file_id": "file-1"}]},
    "audio/speech": {"input": "hi"},
    "moderations": {"input": "hi"},
    "rerank": {"query": "hi", "documents": ["a", "b"]},
}


def asked(route: str, **fields: Any) -> Asked:
    return parse(Request(route, orjson.dumps({"model": "m"} | LEAST[route] | fields), {}))


def heard(*values: tuple[str, bytes], route: str = "audio/transcriptions") -> Asked:
    return parse(Request(route, form([FILE, ('name="model"', b"m"), *values]), FORM))


def refused(route: str, body: bytes, headers: dict[str, str] | None = None) -> str | None:
    with pytest.raises(BadRequest) as error:
        parse(Request(route, body, headers or {}))
    return error.value.param


@pytest.mark.parametrize("route", LEAST)
def test_the_least_that_a_route_needs_is_enough(route: str) -> None:
    assert asked(route).model == "m"


@pytest.mark.parametrize(
    ("route", "fields", "param"),
    [
        ("responses", {"input": None}, "input"),
        ("responses", {"background": True}, "background"),
        ("responses", {"background": "yes"}, "background"),
        ("responses", {"max_output_tokens": -1}, "max_output_tokens"),
        ("responses", {"max_output_tokens": "9"}, "max_output_tokens"),
        ("responses", {"max_tool_calls": -1, "tools": [{"type": "web_search"}]}, "max_tool_calls"),
        ("responses", {"tools": "x"}, "tools"),
        ("responses", {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}, "tools"),
        ("responses", {"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]}, "tools"),
        ("responses", {"tools": [{"type": "shell", "environment": {"type": "container_auto"}}]}, "tools"),
        ("responses", {"stream": 1}, "stream"),
        ("images/generations", {"prompt": None}, "prompt"),
        ("images/generations", {"n": 0}, "n"),
        ("images/generations", {"n": "2"}, "n"),
        ("images/generations", {"partial_images": -1}, "partial_images"),
        ("images/edits", {"images": None}, "image"),
        ("audio/speech", {"input": None}, "input"),
        ("audio/speech", {"input": ["hi"]}, "input"),
        ("audio/speech", {"speed": 0}, "speed"),
        ("audio/speech", {"speed": "fast"}, "speed"),
        ("audio/speech", {"speed": True}, "speed"),
        ("moderations", {"input": None}, "input"),
        ("rerank", {"query": None}, "query"),
        ("rerank", {"documents": "a"}, "documents"),
    ],
)
def test_a_bad_body_is_refused_with_the_name_of_its_field(route: str, fields: dict[str, Any], param: str) -> None:
    assert refused(route, orjson.dumps({"model": "m"} | LEAST[route] | fields)) == param


@pytest.mark.parametrize(
    ("values", "param"),
    [
        ([('name="model"', b"m")], "file"),
        ([FILE], "model"),
        ([FILE, ('name="model"', b"m"), ('name="stream"', b"perhaps")], "stream"),
        ([FILE, ('name="model"', b"m"), ('name="n"', b"two")], "n"),
        ([FILE, ('name="model"', b"m"), ('name="model"', b"other")], "model"),
        ([FILE, ('name="model"; filename="m"', b"m")], "model"),
    ],
)
def test_a_bad_form_is_refused_with_the_name_of_its_field(values: list[tuple[str, bytes]], param: str) -> None:
    assert refused("audio/transcriptions", form(values), FORM) == param


def test_a_recording_comes_in_a_form_only() -> None:
    assert refused("audio/transcriptions", b'{"model": "m", "file": "x"}') == "request_body"


@pytest.mark.parametrize("route", ["chat/completions", "responses", "audio/speech", "moderations"])
def test_other_routes_read_no_forms(route: str) -> None:
    assert refused(route, form([FILE, ('name="model"', b"m")]), FORM) == "request_body"


@pytest.mark.parametrize(
    ("route", "twice"),
    [
        ("responses", b'"max_output_tokens": 1, "max_output_tokens": 100000'),
        ("responses", b'"background": false, "background": true'),
        ("responses", b'"tools": [], "tools": [{"type": "code_interpreter"}]'),
        ("images/generations", b'"size": "auto", "size": "3840x2160"'),
        ("audio/speech", b'"input": "hi", "input": "a long text"'),
    ],
)
def test_what_decides_about_the_price_must_not_stand_twice(route: str, twice: bytes) -> None:
    start = orjson.dumps({"model": "m"} | LEAST[route])[:-1]
    assert refused(route, start + b", " + twice + b"}") is not None


def test_the_output_cap_of_a_response_is_its_own() -> None:
    assert asked("responses", max_output_tokens=9).output_cap == 9
    assert asked("responses", max_tokens=9).output_cap is None


@pytest.mark.parametrize(
    "fields",
    [
        {"input": None, "previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"input": None, "prompt": {"id": "pmpt_1"}},
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": "mcp", "server_label": "x", "server_url": "https://x"}]},
    ],
)
def test_a_response_that_reads_more_than_its_body_says_so(fields: dict[str, Any]) -> None:
    assert asked("responses", **fields).unbounded_input


@pytest.mark.parametrize(
    "fields", [{}, {"tools": [{"type": "function", "name": "f"}, {"type": "shell", "environment": {"type": "local"}}]}]
)
def test_a_response_that_reads_its_body_only_is_bounded_by_it(fields: dict[str, Any]) -> None:
    call = asked("responses", **fields)
    assert not call.unbounded_input
    assert call.input_bound == len(call.sent.raw)


@pytest.mark.parametrize(
    ("fields", "searches"),
    [
        ({"tools": [{"type": "web_search_preview"}]}, {"web_searches": 10}),
        ({"tools": [{"type": "web_search"}], "max_tool_calls": 2}, {"web_searches": 2}),
        ({"tools": [{"type": "web_search"}], "max_tool_calls": 10**18}, {"web_searches": 1000}),
        ({"max_tool_calls": 2}, {}),
    ],
)
def test_searches_are_bounded_where_they_may_be_made(fields: dict[str, Any], searches: dict[str, int]) -> None:
    assert asked("responses", **fields).others == searches


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({}, 6240),
        ({"quality": "low"}, 408),
        ({"quality": "medium", "size": "1024x1024"}, 1584),
        ({"quality": "max"}, 24_960),
        ({"quality": "high", "size": "2048x3072"}, 24_960),
        ({"quality": "low", "partial_images": 3}, 708),
    ],
)
def test_an_image_is_bounded_by_its_quality_and_size(fields: dict[str, Any], tokens: int) -> None:
    call = asked("images/generations", n=2, **fields)
    assert (call.output_cap, call.choices, call.others) == (tokens, 2, {"images": 2})


def test_images_that_are_edited_are_read() -> None:
    assert asked("images/edits").input_bound == 8002
    edit = parse(Request("images/edits", form([IMAGE, IMAGE, ('name="model"', b"m"), ('name="prompt"', b"hi")]), FORM))
    assert edit.input_bound == 16_002


def test_the_fields_of_a_form_are_read_as_what_they_are() -> None:
    values = [IMAGE, ('name="model"', b"m"), ('name="prompt"', b"hi"), ('name="n"', b"3"), ('name="stream"', b"True")]
    call = parse(Request("images/edits", form(values), FORM))
    assert (call.choices, call.stream, call.sent.body["n"]) == (3, True, 3)


def test_a_text_to_speak_is_bounded_by_its_characters_and_speed() -> None:
    usual, slow = asked("audio/speech", input="π" * 80), asked("audio/speech", input="π" * 80, speed=0.25)
    assert (usual.others, usual.input_bound, usual.output_cap) == ({"characters": 80}, 160, 209)
    assert slow.output_cap == 834


def test_speech_is_always_passed_on_as_it_comes() -> None:
    assert asked("audio/speech").stream
    assert not asked("audio/speech").sent.usage_asked


@pytest.mark.parametrize("route", ["audio/transcriptions", "audio/translations"])
def test_a_recording_is_bounded_by_its_length(route: str) -> None:
    call = heard(('name="prompt"', b"hi"), route=route)
    assert (call.others, call.input_bound, call.output_cap) == ({"audio_ms": 100}, 4, 2)


def test_a_form_says_whom_the_call_is_for() -> None:
    assert heard(('name="user"', b"ada")).end_user == "ada"


@pytest.mark.parametrize("route", ["moderations", "responses/input_tokens"])
def test_what_is_free_takes_nothing(route: str) -> None:
    assert (asked(route).input_bound, asked(route).output_cap) == (0, 0)


@pytest.mark.parametrize(
    ("documents", "searches"), [(["a"], 1), ([], 1), (["a"] * 90, 1), (["a" * 500] * 100, 2), (["a"] * 250, 3)]
)
def test_a_ranking_is_bounded_by_its_documents(documents: list[str], searches: int) -> None:
    call = asked("rerank", documents=documents)
    assert call.others == {"requests": searches}
    assert call.input_bound >= len(call.sent.raw) + len(documents) * 2


def test_no_bound_is_more_than_can_be_booked() -> None:
    call = asked("rerank", query="a" * 100_000, documents=["a"] * 100_000)
    assert call.input_bound == 10**9


def test_a_compaction_is_bounded_by_the_longest_answers_there_are() -> None:
    assert asked("responses/compact").output_cap == 128_000
    assert not asked("responses/compact").unbounded_input
    assert asked("responses/compact", previous_response_id="resp_1").unbounded_input


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**6) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "environment", "a"]), inner),
)
NAMES = st.sampled_from(
    ["input", "prompt", "n", "size", "quality", "tools", "speed", "images", "stream", "conversation", "max_tool_calls"]
)


@given(st.sampled_from([*LEAST]), st.dictionaries(NAMES, JSON))
def test_no_body_does_anything_but_pass_or_be_refused(route: str, fields: dict[str, Any]) -> None:
    body = orjson.dumps({"model": "m"} | LEAST[route] | fields)
    try:
        call = parse(Request(route, body, {}))
    except BadRequest:
        return
    assert min(call.input_bound, call.choices, *call.others.values()) >= 0
