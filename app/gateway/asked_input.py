"""How many tokens the body of a request can be read as, at the most."""

from __future__ import annotations

from typing import Any

from app.providers.splice import ESCAPED_LETTER

# Every token of a byte-level tokenizer covers at least one byte, so a body's length bounds its input tokens. Media are
# priced by what they show, not by how they are written: this many tokens each is above what most providers document for
# one image (Anthropic, "Vision": 4,784) or one part of a file.
TOKENS_PER_MEDIUM = 5000
# What marks a body whose media are written in it.
INLINE_DATA = b";base64,"
INLINE = (INLINE_DATA, b'"base64"', b'"input_audio"', b'"file_data"')
MEDIA = frozenset({"image_url", "input_image", "image"})
MEDIA_WRITTEN = tuple(f'"{medium}"'.encode() for medium in MEDIA)
# Members that hold a medium, and what its data are called there.
HOLDERS = {"source": "data", "input_audio": "data", "file": "file_data"}
# Where an address may be the data themselves.
ADDRESSES = frozenset({"url", "image_url", "file_url", "file_data"})
# Recordings and films by the letters of their data: at the bitrates of speech a second has 32 tokens (Gemini,
# "Understanding audio"), and of pictures that hardly move 300 ("Understanding video").
LETTERS_PER_TOKEN_HEARD, LETTERS_PER_TOKEN_SEEN = 32, 4


def input_bound(raw: bytes, body: dict[str, Any]) -> int:
    """No call of this body takes more input tokens."""
    if not any(map(raw.__contains__, INLINE)) and ESCAPED_LETTER.search(raw) is None:
        return len(raw) + sum(map(raw.count, MEDIA_WRITTEN)) * TOKENS_PER_MEDIUM
    return _without_media(body)


def _without_media(value: Any) -> int:
    """Bytes of text in a parsed body; media count as what they can show."""
    total, rest = 0, [value]
    while rest:
        item = rest.pop()
        if isinstance(item, dict):
            total += 2 + _size_of_members(item, rest)
        elif isinstance(item, list):
            total += 2 + len(item)
            rest += item
        else:
            total += _bytes_of(item) + 2 if isinstance(item, str) else 24
    return total


def _size_of_members(item: dict[str, Any], rest: list[Any]) -> int:
    """What an object takes but for the values that are put to the `rest`."""
    kind = item.get("type")
    is_medium = item.keys() & MEDIA or (isinstance(kind, str) and kind in MEDIA)
    total = TOKENS_PER_MEDIUM if is_medium else 0
    for key, inner in item.items():
        total += _bytes_of(key) + 4
        if (data := _data_of(key, inner)) is not None:
            total += TOKENS_PER_MEDIUM + len(data) // LETTERS_PER_TOKEN_HEARD * (key == "input_audio")
        elif isinstance(inner, str) and key in ADDRESSES and _is_data(inner):
            # The object around an image's address is counted as the medium already.
            is_image = inner.startswith("data:image/") and key in {"url", "image_url"}
            total += 0 if is_image else TOKENS_PER_MEDIUM + len(inner) // LETTERS_PER_TOKEN_SEEN
        else:
            rest.append(inner)
    return total


def _data_of(holder: str, held: Any) -> str | None:
    """The data of a medium that stands in a member of that name; None where it holds none."""
    if holder not in HOLDERS or not isinstance(held, dict):
        return None
    data = held.get(HOLDERS[holder])
    is_data = holder != "source" or held.get("type") == "base64"
    return data if isinstance(data, str) and is_data else None


def _is_data(address: str) -> bool:
    # Text has spaces, and data have none.
    return address.startswith("data:") and INLINE_DATA.decode() in address and " " not in address


def _bytes_of(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
