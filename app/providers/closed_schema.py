"""JSON schemas as Anthropic's structured outputs take them."""

from __future__ import annotations

from typing import Any

import orjson

# "Structured outputs", JSON Schema limitations.
STRING_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")
KEPT = frozenset({"type", "enum", "const", "title", "description", "default", "required", "$ref", "format", "minItems"})
OF_SCHEMAS = frozenset({"properties", "$defs", "definitions"})
OF_VARIANTS = frozenset({"anyOf", "allOf"})


def closed(schema: Any) -> Any:
    """The schema with closed objects, and what Anthropic refuses to enforce told in a description instead.

    The same is done by Anthropic's own libraries: the model still reads what is told, as a wish.
    """
    if not isinstance(schema, dict):
        return schema
    taken: dict[str, Any] = {}
    told: dict[str, Any] = {}
    for word, value in schema.items():
        if word in OF_SCHEMAS and isinstance(value, dict):
            taken[word] = {name: closed(part) for name, part in value.items()}
        elif word in OF_VARIANTS or word == "oneOf":
            taken["anyOf" if word == "oneOf" else word] = _variants(value)
        elif word == "items":
            taken[word] = closed(value)
        elif word in KEPT and _enforced(word, value):
            taken[word] = value
        elif word not in ("additionalProperties", "$schema", "$id"):
            told[word] = value
    kinds = taken.get("type")
    if "properties" in taken or "object" in (kinds if isinstance(kinds, list) else [kinds]):
        taken["additionalProperties"] = False
    if told:
        wishes = orjson.dumps(told).decode()
        taken["description"] = f"{taken['description']}\n\n{wishes}" if "description" in taken else wishes
    return taken


def _variants(schemas: Any) -> Any:
    return [closed(schema) for schema in schemas] if isinstance(schemas, list) else schemas


def _enforced(word: str, value: Any) -> bool:
    if word == "format":
        return value in STRING_FORMATS
    return word != "minItems" or value in (0, 1)
