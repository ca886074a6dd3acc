"""What a caller asks for: the parts of a request's body that the gateway needs, checked before anything is taken."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any

import orjson

from app.errors import BadRequest
from app.providers.base import JSON, Sent
from app.providers.splice import ESCAPED_LETTER, members

# Every token of a byte-level tokenizer covers at least one byte, so a body's length bounds its input tokens. Media are
# priced by what they show, not by how they are written: this many tokens each is above what providers document for one
# image or one part of a file.
TOKENS_PER_MEDIUM = 3000
# Text of this length without a space is data, not words.
INLINE_DATA = b";base64,"
CAPS = ("max_completion_tokens", "max_tokens")
MOST_CHOICES = 128
LONGEST_NAME, MOST_TAGS = 255, 20
# The members, in quotes, that decide about a call's price or its limits.
METERED = [f'"{name}"'.encode() for name in ("model", "stream", "n", "best_of", "service_tier", *CAPS)]
TAGS_HEADER = "x-litellm-tags"
REQUIRED = {"chat/completions": "messages", "completions": "prompt", "embeddings": "input"} | dict.fromkeys(
    ("messages", "messages/count_tokens"), "messages"
)


@dataclass(frozen=True, slots=True)
class Request:
    """A call as it comes in. `route` is like "chat/completions"; `client` is the caller's socket, where it is known.

    `model` stands in the URL of Azure-style routes.
    """

    route: str
    body: bytes = dataclass_field(repr=False)
    headers: Mapping[str, str] = dataclass_field(repr=False)
    model: str | None = None
    client: socket.socket | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A parsed request.

    `sent` is what providers get of it; `model` is the name that the caller asks for.
    `output_cap` is the largest cap on output tokens that it states (None: none); `choices` is how many answers it asks
    for; `input_bound` is an upper bound of its input tokens; `usage_asked`: the client wants usage in the stream.
    `end_user` is whom the call is made for, by the name that the caller gives.
    """

    sent: Sent
    model: str
    output_cap: int | None
    choices: int
    input_bound: int
    end_user: str | None
    tags: tuple[str, ...] = ()

    @property
    def route(self) -> str:
        """Which wire format the caller speaks."""
        return self.sent.route

    @property
    def stream(self) -> bool:
        """Whether the answer shall come as events."""
        return self.sent.stream


def parse(request: Request, customer_header: str | None = None) -> Asked:
    """Reads a body, and the headers that say whom the call is for. Raises BadRequest, which names the field."""
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"The body is not valid JSON: {error}.", param="request_body") from error
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.", param="request_body")
    name = request.model or body.get("model")
    if not isinstance(name, str) or not name:
        raise BadRequest("'model' is required and must be a string.", param="model")
    required = REQUIRED.get(request.route)
    if required is not None and body.get(required) is None:
        raise BadRequest(f"'{required}' is required.", param=required)
    stream = _flag(body, "stream")
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise BadRequest("'stream_options' must be an object.", param="stream_options")
    _check_no_doubles(request.body)
    tags, changes = _tags(request.headers, body)
    sent = Sent(
        route=request.route,
        raw=request.body,
        body=body,
        headers=request.headers,
        content_type=request.headers.get("content-type", JSON),
        changes=changes,
        stream=stream,
        usage_asked=bool(options and options.get("include_usage") is True),
    )
    return Asked(
        sent=sent,
        model=name,
        output_cap=_output_cap(body),
        choices=_choices(body),
        input_bound=input_bound(request.body, body),
        end_user=_end_user(request.headers, body, customer_header),
        tags=tags,
    )


def _check_no_doubles(raw: bytes) -> None:
    """Of a member that stands twice we would read one and the provider perhaps the other. Raises BadRequest."""
    if ESCAPED_LETTER.search(raw) is None and all(raw.count(name) <= 1 for name in METERED):
        return
    seen = set()
    for member in members(raw):
        if member.name in seen:
            raise BadRequest(f"'{member.name}' is given twice.", param=member.name)
        seen.add(member.name)


def _end_user(headers: Mapping[str, str], body: dict[str, Any], customer_header: str | None) -> str | None:
    """The header goes before the body: a proxy in front of the gateway sets it, and the caller the other."""
    named = headers.get(customer_header) if customer_header is not None else None
    user = named or body.get("user")
    if not isinstance(user, str) or not user:
        return None
    # The database has no room for more, and PostgreSQL none for a NUL.
    return user.replace("\0", "")[:LONGEST_NAME] or None


def _tags(headers: Mapping[str, str], body: Mapping[str, Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """From `metadata.tags` and the header x-litellm-tags, and what the provider is sent instead. Raises BadRequest."""
    found = [tag.strip() for tag in headers.get(TAGS_HEADER, "").split(",") if tag.strip()]
    metadata, changes = body.get("metadata"), {}
    if isinstance(metadata, dict) and "tags" in metadata:
        tags = metadata["tags"]
        if not isinstance(tags, list) or not all(isinstance(tag, str) and tag for tag in tags):
            raise BadRequest("'metadata.tags' must be a list of texts.", param="metadata.tags")
        # Tags are the gateway's business. Where nothing else stands in it, the metadata go too.
        changes = {"metadata": {name: value for name, value in metadata.items() if name != "tags"} or None}
        found += tags
    if len(found) > MOST_TAGS or any(len(tag) > LONGEST_NAME or "\0" in tag for tag in found):
        raise BadRequest(f"A call has at most {MOST_TAGS} tags of at most {LONGEST_NAME} characters.", param="tags")
    return tuple(found), changes


def _flag(body: dict[str, Any], field: str) -> bool:
    value = body.get(field)
    if value is not None and not isinstance(value, bool):
        raise BadRequest(f"'{field}' must be true or false.", param=field)
    return bool(value)


def _output_cap(body: dict[str, Any]) -> int | None:
    """The larger one counts: a caller who states two caps must not be held for the smaller."""
    caps = []
    for field in CAPS:
        value = body.get(field)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise BadRequest(f"'{field}' must be a whole number of tokens, 0 or more.", param=field)
        caps.append(value)
    return max(caps, default=None)


def _choices(body: dict[str, Any]) -> int:
    """Answers that are paid for: n, and for completions best_of where it is larger."""
    choices = 1
    for field in ("n", "best_of"):
        value = body.get(field)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_CHOICES:
            raise BadRequest(f"'{field}' must be a whole number from 1 to {MOST_CHOICES}.", param=field)
        choices = max(choices, value)
    # Several prompts in one completions call are answered one by one.
    prompts = body.get("prompt")
    if isinstance(prompts, list) and prompts and not isinstance(prompts[0], int):
        choices *= len(prompts)
    return choices


def input_bound(raw: bytes, body: dict[str, Any]) -> int:
    """No call of this body takes more input tokens."""
    if INLINE_DATA not in raw and b'"input_audio"' not in raw and b'"file_data"' not in raw:
        media = raw.count(b'"image_url"') + raw.count(b'"input_image"')
        return len(raw) + media * TOKENS_PER_MEDIUM
    return _without_media(body)


def _without_media(value: Any) -> int:
    """Bytes of text in a parsed body; inline data counts as one medium."""
    total, rest = 0, [value]
    while rest:
        item = rest.pop()
        if isinstance(item, dict):
            if item.keys() & {"image_url", "input_audio", "file_data", "input_image"}:
                total += TOKENS_PER_MEDIUM
            rest += _readable(item)
            total += sum(len(key) + 4 for key in item)
        elif isinstance(item, list):
            rest += item
        elif isinstance(item, str):
            total += len(item.encode()) + 2 if INLINE_DATA.decode() not in item else TOKENS_PER_MEDIUM
        else:
            total += 24
    return total


def _readable(item: dict[str, Any]) -> Iterable[Any]:
    """The values of an object that are read as text: the data of a recording or a file is not."""
    return (value for key, value in item.items() if key not in {"data", "file_data"} or not isinstance(value, str))
