"""Changing members of a JSON object without touching any other byte."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.providers.splice import members, spliced

NAMES = st.sampled_from(["model", "stream", "metadata", 'a"model', "x"]) | st.text(max_size=5)
WHOLE = st.integers(-(2**53), 2**53)
LEAVES = st.none() | st.booleans() | WHOLE | st.text(max_size=8) | st.sampled_from(['"model":"x"', "{", "}],"])
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=5)
CHANGES = st.dictionaries(st.sampled_from(["model", "stream", "metadata", "new"]), st.none() | VALUES, max_size=3)


def written(value: Any, indent: int | None, *, ascii_only: bool) -> bytes:
    # A surrogate alone is no UTF-8.
    return json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "replace")


@given(OBJECTS, CHANGES, st.sampled_from([None, 0, 2]), st.booleans())
def test_the_result_reads_as_the_object_with_its_changes(
    value: dict[str, Any],
    changes: dict[str, Any],
    indent: int | None,
    ascii_only: bool,  # noqa: FBT001 - as hypothesis draws it
) -> None:
    raw = written(value, indent, ascii_only=ascii_only)
    parsed = json.loads(raw)
    expected = {name: inner for name, inner in {**parsed, **changes}.items() if changes.get(name, 0) is not None}
    assert json.loads(spliced(raw, changes)) == expected


@given(OBJECTS, st.sampled_from(["model", "stream"]), st.text(max_size=5), st.sampled_from([None, 2]))
def test_knowing_the_parsed_body_changes_nothing_but_the_time_it_takes(
    value: dict[str, Any], name: str, new: str, indent: int | None
) -> None:
    raw = written(value, indent, ascii_only=True)
    assert spliced(raw, {name: new}, json.loads(raw)) == spliced(raw, {name: new})


@given(OBJECTS, st.sampled_from([None, 2]))
def test_every_byte_outside_of_the_value_stays(value: dict[str, Any], indent: int | None) -> None:
    raw = written(value | {"model": "the-model"}, indent, ascii_only=True)
    (place,) = [member for member in members(raw) if member.name == "model"]
    assert spliced(raw, {"model": "new"}) == raw[: place.value] + b'"new"' + raw[place.end :]


@pytest.mark.parametrize(
    ("raw", "changed"),
    [
        (b'{"model":"a"}', b'{"model":"b"}'),
        (b' { "model" : "a" , "x":1.0 } ', b' { "model" : "b" , "x":1.0 } '),
        (b'{"x":{"model":"a"}}', b'{"x":{"model":"a"},"model":"b"}'),
        (b'{"x":{"model":"a"},"mod\\u0065l":"a"}', b'{"x":{"model":"a"},"mod\\u0065l":"b"}'),
        (b'{"model":"a","model":"c","x":1}', b'{"model":"b","x":1}'),
        (b"{}", b'{"model":"b"}'),
        (b'{"x":"\\"model\\":\\"a\\""}', b'{"x":"\\"model\\":\\"a\\"","model":"b"}'),
    ],
)
def test_the_model_is_changed_where_the_provider_reads_it(raw: bytes, changed: bytes) -> None:
    assert spliced(raw, {"model": "b"}, orjson.loads(raw)) == changed


@pytest.mark.parametrize(
    ("raw", "left"),
    [
        (b'{"metadata":{},"x":1}', b'{"x":1}'),
        (b'{"x":1,"metadata":{}}', b'{"x":1}'),
        (b'{"x":1,"metadata":{},"metadata":1, "y":2}', b'{"x":1, "y":2}'),
        (b'{"metadata":{}}', b"{}"),
    ],
)
def test_a_member_that_is_taken_out_takes_its_comma_along(raw: bytes, left: bytes) -> None:
    assert spliced(raw, {"metadata": None}) == left
