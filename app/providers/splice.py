"""Members of a JSON object changed in its bytes: every byte that is not theirs stays as the client wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson

STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
# A string is one token, whatever stands in it; of everything else only what opens, closes and parts is looked at.
TOKEN = re.compile(STRING.pattern + rb"|[{}\[\],:]", re.DOTALL)
VALUE = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*(" + STRING.pattern + rb")", re.DOTALL)
# An ASCII letter written as an escape: a name that has one is not found by looking for its letters.
ESCAPED_LETTER = re.compile(rb"\\u00[4-7]")
SPACE = b" \t\r\n"


class Member(NamedTuple):
    """Where a member of the top level stands: from its name's quote to behind its value."""

    name: str
    start: int
    value: int
    end: int


def spliced(raw: bytes, changes: Mapping[str, Any], parsed: Mapping[str, Any] | None = None) -> bytes:
    """The object with members of its top level set, or taken out where the new value is None.

    `raw` must be a JSON object that a parser has taken; `parsed`, what it made of it, saves a second reading where one
    text is changed. A changed member that stands twice is written once. New members come last.
    """
    if not changes:
        return raw
    if parsed is not None and len(changes) == 1:
        ((name, value),) = changes.items()
        if value is not None and (simple := _simply(raw, name, value, parsed)) is not None:
            return simple
    return _carefully(raw, changes)


def _simply(raw: bytes, name: str, value: Any, parsed: Mapping[str, Any]) -> bytes | None:
    """The usual case: the name's letters stand in the body once, before a text, so they are the member that is known.

    Inside of a text they would stand between escaped quotes.
    """
    key = b'"' + name.encode() + b'"'
    if name not in parsed or raw.count(key) != 1 or ESCAPED_LETTER.search(raw):
        return None
    if type(value) is str and parsed[name] == value:
        return raw
    found = VALUE.match(raw, raw.index(key) + len(key))
    return found and raw[: found.start(1)] + orjson.dumps(value) + raw[found.end(1) :]


def _carefully(raw: bytes, changes: Mapping[str, Any]) -> bytes:
    """By reading the whole body."""
    pieces: list[bytes] = []
    new = dict(changes)
    # What is before `position` is written; what is kept reaches to `kept_to`, behind which new members stand.
    position, kept_to, some_kept = 0, raw.index(b"{") + 1, False
    for member in members(raw):
        if member.name not in changes:
            kept_to, some_kept = member.end, True
        elif new.get(member.name) is not None:
            pieces += [raw[position : member.value], orjson.dumps(new.pop(member.name))]
            position = kept_to = member.end
            some_kept = True
        elif some_kept:
            # It goes with the comma before it.
            pieces.append(raw[position:kept_to])
            position = kept_to = member.end
        else:
            pieces.append(raw[position : member.start])
            position = kept_to = _behind_comma(raw, member.end)
    added = [orjson.dumps(name) + b":" + orjson.dumps(value) for name, value in new.items() if value is not None]
    comma = b"," if some_kept and added else b""
    return b"".join((*pieces, raw[position:kept_to], comma, b",".join(added), raw[kept_to:]))


def members(raw: bytes) -> Iterator[Member]:
    """The members of the top level, in order; one name may stand several times."""
    depth, name, start, value = 0, "", 0, 0
    named = False
    for token in TOKEN.finditer(raw):
        mark = raw[token.start() : token.start() + 1]
        if mark in b"{[":
            depth += 1
        elif mark in b"}]" or (mark == b"," and depth == 1):
            depth -= mark != b","
            if named and (mark == b"," or depth == 0):
                yield Member(name, start, value, _before_space(raw, token.start()))
                named = False
        elif depth == 1 and mark == b'"' and not named:
            name, start = orjson.loads(token.group()), token.start()
        elif depth == 1 and mark == b":":
            value, named = _behind_space(raw, token.end()), True


def _behind_space(raw: bytes, at: int) -> int:
    while raw[at] in SPACE:
        at += 1
    return at


def _before_space(raw: bytes, at: int) -> int:
    while raw[at - 1] in SPACE:
        at -= 1
    return at


def _behind_comma(raw: bytes, at: int) -> int:
    at = _behind_space(raw, at)
    return _behind_space(raw, at + 1) if raw[at : at + 1] == b"," else at
