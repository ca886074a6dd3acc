"""The version of settings: the same in every process that runs under the same."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import orjson

from app.settings import Settings

LENGTH = 12
# What each host has for itself, and what is said about the settings and is none of them.
LEFT_OUT = frozenset({"master_key", "database_url", "redis_url", "encryption_keys", "warnings"})


def version_of(settings: Settings) -> str:
    """("3f9c01d2a4b7"): the beginning of a SHA-256, keyed with the master key.

    Without a key it would tell who knows the rest of the file whether a guessed secret in it is right.
    """
    values = {
        field.name: _plain(getattr(settings, field.name))
        for field in dataclasses.fields(settings)
        if field.name not in LEFT_OUT
    }
    text = orjson.dumps(values, option=orjson.OPT_SORT_KEYS)
    return hmac.new(settings.master_key.encode(), text, hashlib.sha256).hexdigest()[:LENGTH]


def _plain(value: Any) -> Any:
    """A value as JSON has it, the same in every process: sets have no order of their own."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, AbstractSet):
        return sorted(repr(_plain(inner)) for inner in value)
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, str | int | float | None) else repr(value)
