"""What the routes ask of a request: a line of the table for each, and how much a call can take as far as it says."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from app.errors import BadRequest
from app.gateway import asked_outside as outside
from app.providers import form, recordings, speech, transcriptions
from app.providers.base import Counts

Body = Mapping[str, Any]

# Guide "Image generation", cost and latency: the most tokens of an image of 1024 x 1536 pixels, by its quality. The
# qualities that are not here cost at most four times as much as the last.
IMAGE_TOKENS = {"low": 408, "medium": 1584, "high": 6240, "standard": 6240, "auto": 6240}
DEAREST_IMAGE_TOKENS = 4 * 6240
IMAGE_PIXELS = 1024 * 1536
PARTIAL_IMAGE_TOKENS = 100
SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
# The same guide: an image that is edited with high fidelity takes up to 6,240 tokens beside its usual ones.
EDITED_IMAGE_TOKENS = 8000
# The slowest speech has so many characters a second; a transcript has at most so many tokens a second.
SLOW_SPEECH, TRANSCRIPT_TOKENS = 8, 10
SLOWEST, FASTEST = 0.25, 4.0
# Cohere's pricing: a search ranks up to 100 documents, and a document of more than 500 tokens counts as several.
RANKED_PIECES, RANKED_BYTES = 100, 500
# A compaction cannot be capped; the answers of no model that makes them are longer.
COMPACTED_TOKENS = 128_000
# Tools of a response whose price no answer tells.
UNMETERED_TOOLS = frozenset({"file_search", "code_interpreter"})
HOSTED = ("container_auto", "container_reference")


@dataclass(slots=True)
class Bounds:
    """The most that a call can take.

    `input` is tokens (None: as many as the body has bytes), `output` tokens of one answer (None: what the caller caps,
    or what the model can). `others` are kinds that are no tokens. `unbounded_input`: the model reads what is not in the
    body, so that only its context window is a bound.
    """

    input: int | None = None
    output: int | None = None
    others: Counts = field(default_factory=dict)
    unbounded_input: bool = False


def _by_its_bytes(_raw: bytes, _content_type: str, _body: Body) -> Bounds:
    return Bounds()


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """What a route asks of a request.

    `required`: of each group of names one must be there. `caps` are the names of output caps. `doubles` are members
    that must not stand twice, beside those of every route. `form`: whether the body may or must be a form with files.
    `sound`: every good answer is passed on as it comes, whether it is a stream of events or not. `free`: the provider
    does not charge for it. `check` raises BadRequest for what cannot be metered.
    """

    required: tuple[tuple[str, ...], ...] = ()
    caps: tuple[str, ...] = ("max_completion_tokens", "max_tokens")
    doubles: tuple[str, ...] = ()
    form: Literal["no", "may", "must"] = "no"
    sound: bool = False
    free: bool = False
    check: Callable[[Body], None] | None = None
    bounds: Callable[[bytes, str, Body], Bounds] = _by_its_bytes


def rules_of(route: str) -> Rules:
    """The rules of a route; a route without a line asks for nothing of its own."""
    return RULES.get(route, NO_RULES)


def typed(texts: Mapping[str, Any]) -> dict[str, Any]:
    """The texts of a form, with the numbers and truth values that the gateway reads as such. Raises BadRequest."""
    fields = dict(texts)
    for name in ("n", "partial_images"):
        if name in fields:
            if not re.fullmatch(r"[0-9]{1,9}", fields[name]):
                raise BadRequest(f"'{name}' must be a whole number.", param=name)
            fields[name] = int(fields[name])
    if "stream" in fields:
        if fields["stream"].lower() not in {"true", "false"}:
            raise BadRequest("'stream' must be true or false.", param="stream")
        fields["stream"] = fields["stream"].lower() == "true"
    return fields


def _check_response(body: Body) -> None:
    if body.get("background"):
        raise BadRequest(
            "'background' is not supported: the answer would be made after the call, where its cost cannot be metered. "
            "Leave it out, and use 'stream' for long answers.",
            param="background",
        )
    outside.check(body)
    for tool in outside.tools(body):
        kind, environment = str(tool.get("type")), tool.get("environment")
        hosted = isinstance(environment, dict) and str(environment.get("type")) in HOSTED
        if kind in UNMETERED_TOOLS or hosted:
            raise BadRequest(
                f"The tool '{kind}' is not supported: it has a price of its own, and the provider does not "
                "tell with the answer what it has cost.",
                param="tools",
            )


def _of_a_conversation(raw: bytes, _content_type: str, body: Body) -> Bounds:
    searches = outside.searches(body)
    return Bounds(
        others={"web_searches": searches} if searches else {},
        unbounded_input=bool(searches) or outside.reads_more(raw, body),
    )


def _of_a_response(raw: bytes, _content_type: str, body: Body) -> Bounds:
    searches, most = outside.searches(body), _number(body, "max_tool_calls", outside.MOST_SEARCHES)
    searches = min(most, outside.LARGEST_NUMBER) if searches else 0
    return Bounds(
        others={"web_searches": searches} if searches else {},
        unbounded_input=body.get("prompt") is not None or bool(searches) or outside.reads_more(raw, body),
    )


def _of_a_compaction(_raw: bytes, _content_type: str, body: Body) -> Bounds:
    return Bounds(output=COMPACTED_TOKENS, unbounded_input=body.get("previous_response_id") is not None)


def _of_images(raw: bytes, content_type: str, body: Body) -> Bounds:
    partial = min(_number(body, "partial_images", 0), outside.LARGEST_NUMBER)
    size = SIZE.fullmatch(body["size"]) if isinstance(body.get("size"), str) else None
    pixels = max(IMAGE_PIXELS, int(size[1]) * int(size[2])) if size else IMAGE_PIXELS
    quality = body.get("quality") or "auto"
    one = IMAGE_TOKENS.get(quality, DEAREST_IMAGE_TOKENS) if isinstance(quality, str) else DEAREST_IMAGE_TOKENS
    if form.is_form(content_type):
        given = sum(part.is_file for part in form.parts(raw, content_type))
    else:
        given = len(body["images"]) if isinstance(body.get("images"), list) else 0
    return Bounds(
        input=_text_bytes(body, "prompt") + given * EDITED_IMAGE_TOKENS,
        output=-(-one * pixels // IMAGE_PIXELS) + partial * PARTIAL_IMAGE_TOKENS,
        others={"images": _number(body, "n", 1)},
    )


def _of_speech(_raw: bytes, _content_type: str, body: Body) -> Bounds:
    text, speed = body.get("input"), body.get("speed")
    if not isinstance(text, str):
        raise BadRequest("'input' must be a text.", param="input")
    if speed is not None and (isinstance(speed, bool) or not isinstance(speed, int | float) or not speed > 0):
        raise BadRequest("'speed' must be a number above 0.", param="speed")
    seconds = len(text) / SLOW_SPEECH / min(max(speed or 1.0, SLOWEST), FASTEST)
    return Bounds(
        input=_text_bytes(body, "input", "instructions"),
        output=int(seconds * 1000 / speech.MS_PER_TOKEN) + 1,
        others={"characters": len(text)},
    )


def _of_a_recording(raw: bytes, content_type: str, body: Body) -> Bounds:
    milliseconds = recordings.heard_ms(form.file_of(raw, content_type))
    return Bounds(
        input=_text_bytes(body, "prompt") + milliseconds // transcriptions.MS_PER_TOKEN + 1,
        output=milliseconds * TRANSCRIPT_TOKENS // 1000 + 1,
        others={"audio_ms": milliseconds},
    )


def _of_a_ranking(raw: bytes, _content_type: str, body: Body) -> Bounds:
    documents = body.get("documents")
    if not isinstance(documents, list):
        raise BadRequest("'documents' must be a list.", param="documents")
    # The query is read once more with each document; long documents are cut up and count as several.
    pieces = len(documents) + len(raw) // RANKED_BYTES
    return Bounds(
        input=len(raw) + pieces * _text_bytes(body, "query"),
        others={"requests": -(-pieces // RANKED_PIECES) or 1},
    )


def _of_nothing(_raw: bytes, _content_type: str, _body: Body) -> Bounds:
    return Bounds(input=0, output=0)


def _text_bytes(body: Body, *names: str) -> int:
    texts = (body.get(name) for name in names)
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts if isinstance(text, str))


def _number(body: Body, name: str, default: int) -> int:
    value = body.get(name)
    if value is None:
        return default
    if type(value) is not int or value < 0:
        raise BadRequest(f"'{name}' must be a whole number, 0 or more.", param=name)
    return value


NO_RULES = Rules()
HEARD = Rules((("file",),), form="must", bounds=_of_a_recording)
RULES = {
    "chat/completions": Rules(
        (("messages",),), doubles=outside.DOUBLES, check=outside.check, bounds=_of_a_conversation
    ),
    "completions": Rules((("prompt",),), doubles=outside.DOUBLES, check=outside.check),
    "embeddings": Rules((("input",),)),
    "messages": Rules((("messages",),), doubles=outside.DOUBLES, check=outside.check, bounds=_of_a_conversation),
    "messages/count_tokens": Rules((("messages",),), free=True, bounds=_of_nothing),
    "responses": Rules(
        (("input", "previous_response_id", "conversation", "prompt"),),
        caps=("max_output_tokens",),
        doubles=("background", "max_tool_calls", "previous_response_id", "conversation", *outside.DOUBLES),
        check=_check_response,
        bounds=_of_a_response,
    ),
    "responses/compact": Rules(
        (("input", "previous_response_id"),), caps=(), doubles=("previous_response_id",), bounds=_of_a_compaction
    ),
    "responses/input_tokens": Rules(caps=(), free=True, bounds=_of_nothing),
    "images/generations": Rules(
        (("prompt",),), caps=(), doubles=("size", "quality", "partial_images"), bounds=_of_images
    ),
    "images/edits": Rules(
        (("prompt",), ("image", "image[]", "images")),
        caps=(),
        doubles=("size", "quality", "partial_images", "images"),
        form="may",
        bounds=_of_images,
    ),
    "audio/speech": Rules(
        (("input",),),
        caps=(),
        doubles=("input", "instructions", "speed", "response_format", "stream_format"),
        sound=True,
        bounds=_of_speech,
    ),
    "audio/transcriptions": HEARD,
    "audio/translations": HEARD,
    "rerank": Rules((("query",), ("documents",)), caps=(), doubles=("query", "documents"), bounds=_of_a_ranking),
    "moderations": Rules((("input",),), caps=(), free=True, bounds=_of_nothing),
}
