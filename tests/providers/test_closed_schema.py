"""Schemas are closed, and what Anthropic does not enforce is told to the model in words."""

from __future__ import annotations

from typing import Any

import pytest

from app.providers.closed_schema import closed


@pytest.mark.parametrize("kind", ["object", ["object", "null"]])
def test_objects_are_closed_at_every_depth(kind: Any) -> None:
    inner = {"type": kind, "properties": {"b": {"type": "string"}}, "additionalProperties": True}
    schema = {"$defs": {"A": inner}, "type": "array", "items": {"anyOf": [{"$ref": "#/$defs/A"}, inner]}}
    shut = inner | {"additionalProperties": False}
    assert closed(schema) == {
        "$defs": {"A": shut},
        "type": "array",
        "items": {"anyOf": [{"$ref": "#/$defs/A"}, shut]},
    }


def test_one_of_is_any_of() -> None:
    assert closed({"oneOf": [{"type": "string"}, {"type": "null"}]}) == {
        "anyOf": [{"type": "string"}, {"type": "null"}]
    }


def test_what_is_not_enforced_is_told_behind_the_description() -> None:
    schema = {"type": "string", "description": "A name.", "minLength": 1, "pattern": "^[a-z]+$"}
    assert closed(schema) == {
        "type": "string",
        "description": 'A name.\n\n{"minLength":1,"pattern":"^[a-z]+$"}',
    }


@pytest.mark.parametrize(
    ("schema", "enforced"),
    [
        ({"type": "string", "format": "date"}, True),
        ({"type": "string", "format": "phone"}, False),
        ({"type": "array", "minItems": 1}, True),
        ({"type": "array", "minItems": 2}, False),
    ],
)
def test_formats_and_least_lengths_are_enforced_where_anthropic_knows_them(
    schema: dict[str, Any],
    enforced: bool,  # noqa: FBT001 - half of the table
) -> None:
    assert (closed(schema) == schema) is enforced


def test_a_property_may_have_the_name_of_a_keyword() -> None:
    schema = {"type": "object", "properties": {"pattern": {"type": "string"}}, "additionalProperties": False}
    assert closed(schema) == schema
