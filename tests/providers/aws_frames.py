"""Frames of AWS's event streams, as Bedrock writes them."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any
from zlib import crc32

Header = tuple[int, bytes]

STRING = 7


def frame(headers: dict[str, Header], payload: bytes) -> bytes:
    """Headers are a type and the bytes of the value, length and all."""
    packed = b"".join(
        struct.pack(">B", len(name.encode())) + name.encode() + struct.pack(">B", kind) + value
        for name, (kind, value) in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(packed) + len(payload), len(packed))
    prelude += struct.pack(">I", crc32(prelude))
    message = prelude + packed + payload
    return message + struct.pack(">I", crc32(message))


def text(value: str) -> Header:
    return STRING, struct.pack(">H", len(value.encode())) + value.encode()


def event(name: str, payload: dict[str, Any]) -> bytes:
    """An event of ConverseStream."""
    headers = {":event-type": text(name), ":content-type": text("application/json"), ":message-type": text("event")}
    return frame(headers, json.dumps(payload).encode())


def chunk(payload: dict[str, Any]) -> bytes:
    """An event of InvokeModelWithResponseStream: the model's own, in base64."""
    return event("chunk", {"bytes": base64.b64encode(json.dumps(payload).encode()).decode(), "p": "abcdefgh"})


def exception(name: str, message: str) -> bytes:
    headers = {
        ":exception-type": text(name),
        ":content-type": text("application/json"),
        ":message-type": text("exception"),
    }
    return frame(headers, json.dumps({"message": message}).encode())
