"""Forms with files (multipart/form-data): read strictly, and changed in nothing but the fields that must change.

What two parsers could read differently is refused: a field that the provider sees and the gateway does not would be a
way past the meter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import BadRequest

FORM = "multipart/form-data"
MOST_PARTS = 128
LONGEST_HEADERS = 8192
BOUNDARY = re.compile(r';\s*boundary\s*=\s*(?:"([^"\\]+)"|([^\s;"]+))\s*(?=;|$)', re.IGNORECASE)
# RFC 2046, section 5.1.1.
BOUNDARY_NAMED = re.compile(r"boundary[*\d]*\s*=", re.IGNORECASE)
BOUNDARY_LETTERS = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
DISPOSITION = re.compile(rb'(?i:form-data)((?:\s*;\s*(?:name|filename)="[^"\r\n\0]*"|\s*;\s*filename\*=[^;"\s]+)+)\s*')
PARAMETER = re.compile(rb';\s*(name|filename\*?)=(?:"([^"]*)"|([^;"\s]+))')
PLAIN_ENCODINGS = (b"", b"7bit", b"8bit", b"binary")


@dataclass(frozen=True, slots=True)
class Part:
    """A field of a form: its value stands in the body from `start` to `end`."""

    name: str
    is_file: bool
    start: int
    end: int


def is_form(content_type: str) -> bool:
    """The content type is that of a form with files."""
    return content_type.partition(";")[0].strip().lower() == FORM


def parts(raw: bytes, content_type: str) -> list[Part]:
    """The fields of a form, in order. Raises BadRequest for whatever is not plainly a form."""
    delimiter = b"--" + _boundary(content_type)
    if not raw.startswith(delimiter + b"\r\n"):
        raise _refused("it must begin with its boundary")
    found: list[Part] = []
    texts: set[str] = set()
    names: set[str] = set()
    position = len(delimiter)
    while raw[position : position + 2] == b"\r\n":
        if len(found) == MOST_PARTS:
            raise _refused(f"it has more than {MOST_PARTS} fields")
        part = _part(raw, position + 2, b"\r\n" + delimiter)
        if part.name in (texts if part.is_file else names) and not part.name.endswith("[]"):
            raise BadRequest(f"'{part.name}' stands in the form more than once.", param=part.name)
        names.add(part.name)
        if not part.is_file:
            texts.add(part.name)
        found.append(part)
        position = part.end + 2 + len(delimiter)
    if raw[position : position + 2] != b"--" or raw[position + 2 :].strip():
        raise _refused("what follows a boundary is neither a field nor the end")
    if raw.count(delimiter) != len(found) + 1:
        # There are parsers that would see a boundary there.
        raise _refused("a value has the boundary in it")
    return found


def fields(raw: bytes, found: list[Part]) -> dict[str, Any]:
    """The texts of a form by name; those of a name with [] as a list. Files are left out. Raises BadRequest."""
    texts: dict[str, Any] = {}
    for part in found:
        if part.is_file:
            continue
        try:
            text = raw[part.start : part.end].decode()
        except UnicodeDecodeError as error:
            raise BadRequest(f"'{part.name}' is not UTF-8.", param=part.name) from error
        if part.name.endswith("[]"):
            texts.setdefault(part.name, []).append(text)
        else:
            texts[part.name] = text
    return texts


def spliced(raw: bytes, content_type: str, changes: Mapping[str, Any]) -> bytes:
    """The form with text fields set; every other byte stays as the client wrote it. New fields come last."""
    found = parts(raw, content_type)
    new = {name: str(value).encode() for name, value in changes.items() if value is not None}
    pieces: list[bytes] = []
    position = 0
    for part in found:
        if part.name in new:
            pieces += [raw[position : part.start], new[part.name]]
            position = part.end
    known = {part.name for part in found}
    delimiter = b"--" + _boundary(content_type)
    last = found[-1].end
    pieces.append(raw[position:last])
    pieces += [_field(delimiter, name, value) for name, value in new.items() if name not in known]
    return b"".join((*pieces, raw[last:]))


def file_of(raw: bytes, content_type: str, name: str = "file") -> bytes:
    """The first file of that name; empty where there is none."""
    return next((raw[part.start : part.end] for part in parts(raw, content_type) if part.name == name), b"")


def _field(delimiter: bytes, name: str, value: bytes) -> bytes:
    return b"\r\n" + delimiter + b'\r\nContent-Disposition: form-data; name="' + name.encode() + b'"\r\n\r\n' + value


def _boundary(content_type: str) -> bytes:
    named = BOUNDARY.findall(content_type)
    boundary = "".join(named[0]) if len(named) == len(BOUNDARY_NAMED.findall(content_type)) == 1 else ""
    if not BOUNDARY_LETTERS.fullmatch(boundary):
        raise _refused("its content type must name one boundary")
    return boundary.encode()


def _part(raw: bytes, start: int, delimiter: bytes) -> Part:
    """The field whose headers begin at `start`."""
    if raw.startswith(b"\r\n", start):
        raise _refused("a field has no name")
    headers_end = raw.find(b"\r\n\r\n", start, start + LONGEST_HEADERS)
    if headers_end < 0:
        raise _refused(f"the headers of a field do not end, or are longer than {LONGEST_HEADERS} bytes")
    value_start = headers_end + 4
    value_end = raw.find(delimiter, value_start)
    if value_end < 0:
        raise _refused("a field does not end with the boundary")
    name, is_file = _name(dict(_headers(raw[start:headers_end])))
    return Part(name, is_file, value_start, value_end)


def _headers(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    seen: set[bytes] = set()
    for line in block.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        name = name.lower()
        if not colon or not name.isascii() or name != name.strip() or name in seen or b"\n" in line or b"\r" in line:
            raise _refused("a field has headers that cannot be read")
        seen.add(name)
        yield name, value.strip()


def _name(headers: Mapping[bytes, bytes]) -> tuple[str, bool]:
    """The name of a field, and whether it is a file."""
    if headers.get(b"content-transfer-encoding", b"").lower() not in PLAIN_ENCODINGS:
        raise _refused("a field is encoded")
    told = DISPOSITION.fullmatch(headers.get(b"content-disposition", b""))
    named = [(key, quoted) for key, quoted, _ in PARAMETER.findall(told.group(1))] if told else []
    names = [value for key, value in named if key == b"name"]
    if len(names) != 1 or b"\\" in names[0] or len({key for key, _ in named}) != len(named):
        raise _refused('a field must have one name, in quotes: form-data; name="model"')
    try:
        return names[0].decode(), len(named) > 1
    except UnicodeDecodeError as error:
        raise _refused("the name of a field is not UTF-8") from error


def _refused(reason: str) -> BadRequest:
    return BadRequest(f"The form cannot be read: {reason}.", param="request_body")
