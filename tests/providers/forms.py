"""Forms with files, as clients send them."""

from __future__ import annotations

from app.providers.base import Sent
from app.providers.form import fields, parts

BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
KIND = f"multipart/form-data; boundary={BOUNDARY}"


def form(values: list[tuple[str, bytes]], boundary: str = BOUNDARY, end: bytes = b"--\r\n") -> bytes:
    """Each value is what stands behind "form-data; " and the bytes of the field."""
    delimiter = b"--" + boundary.encode()
    written = [
        delimiter + b"\r\nContent-Disposition: form-data; " + named.encode() + b"\r\n\r\n" + value + b"\r\n"
        for named, value in values
    ]
    return b"".join(written) + delimiter + end


def recording_sent(recording: bytes, route: str = "audio/transcriptions", **texts: str) -> Sent:
    """A recording as the gateway hands it to providers."""
    named = {"model": "ours"} | texts
    raw = form(
        [('name="file"; filename="a"', recording), *((f'name="{name}"', named[name].encode()) for name in named)]
    )
    return Sent(route, raw, fields(raw, parts(raw, KIND)), content_type=KIND)
