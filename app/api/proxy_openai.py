"""OpenAI's other model routes: responses, images, speech, transcripts, moderations; and Cohere's rerank."""

from __future__ import annotations

from typing import Any

from flask import Response

from app.api.base import Blueprint, Decorator, View
from app.api.proxy import COMMON, REFUSALS, STREAM, call, documented

blueprint = Blueprint("Other LLM routes", __name__, description="Calls to models that do more than chat.")

EVERYWHERE = ("/{}", "/v1/{}")
# Azure's clients of today and of yesterday have these routes beside their deployments, too.
RESPONSES = (*EVERYWHERE, "/openai/v1/{}", "/openai/{}", "/openai/deployments/<path:model>/{}")
AZURES = ("/openai/deployments/<path:model>/{}", "/openai/v1/{}")
FORM = "multipart/form-data"
ONE_STREAM = {"stream": COMMON["stream"]}
SOUND: dict[str, Any] = {"audio/*": {"schema": {"type": "string", "format": "binary"}}}
TEXT: dict[str, Any] = {"text/plain": {"schema": {"type": "string"}}}


def _text(description: str) -> dict[str, str]:
    return {"type": "string", "description": description}


def _file(description: str) -> dict[str, str]:
    return {"type": "string", "format": "binary", "description": description}


RESPOND = documented(
    "Get a response",
    ["model"],
    {
        "input": {"description": "What the model is to answer: a text, or a list of items."},
        "max_output_tokens": COMMON["max_tokens"],
        "previous_response_id": _text("The response that this one goes on from; the model reads all before it, too."),
        "tools": {
            "type": "array",
            "items": {"type": "object"},
            "description": "Tools. Those of the provider's that cost more than their answer tells are refused.",
        },
        "user": COMMON["user"],
        **ONE_STREAM,
    },
)
TALK = {
    "input": {"description": "The conversation: a text, or a list of items."},
    "previous_response_id": _text("The response that the conversation goes on from."),
}
COMPACT = documented("Shorten a conversation", ["model"], TALK, answers={})
COUNT = documented("Count the tokens of a response", ["model"], TALK, answers={})
PICTURE = {
    "prompt": _text("What is to be seen."),
    "n": {"type": "integer", "description": "How many images; each is paid for."},
    "size": _text("The size of an image, such as `1024x1024`; also what a budget holds for it."),
    "quality": _text("The quality of an image; also what a budget holds for it."),
    "user": COMMON["user"],
    **ONE_STREAM,
}
DRAW = documented("Make images", ["model", "prompt"], PICTURE)
EDIT = documented("Edit images", ["model", "prompt", "image"], PICTURE | {"image": _file("The image.")}, body=FORM)
SPEAK = documented(
    "Speak a text",
    ["model", "input"],
    {
        "input": _text("The text to speak."),
        "voice": {"description": "Whose voice it is."},
        "response_format": _text("The format of the sound, such as `mp3`."),
        "stream_format": _text("`sse`: the sound comes in events, the last of which tells the usage."),
    },
    answers=SOUND | STREAM,
)
RECORDING = {
    "file": _file("The recording."),
    "prompt": _text("A text in the style of the transcript, or what came before it."),
    "response_format": _text("`json`, `text`, `srt`, `verbose_json` or `vtt`."),
}
HEAR = documented(
    "Write down a recording",
    ["model", "file"],
    RECORDING | {"language": _text("The language that is spoken."), **ONE_STREAM},
    body=FORM,
    answers=TEXT | STREAM,
)
TRANSLATE = documented("Write down a recording in English", ["model", "file"], RECORDING, body=FORM, answers=TEXT)
JUDGE = documented("Moderate a text", ["model", "input"], {"input": {"description": "The text or texts."}}, answers={})

RANK = documented(
    "Rank documents",
    ["model", "query", "documents"],
    {
        "query": _text("What is asked for."),
        "documents": {"type": "array", "items": {}, "description": "The documents to rank."},
        "top_n": {"type": "integer", "description": "How many of them the answer has."},
    },
    answers={},
)


def _offered(route: str, documentation: dict[str, Any], addresses: tuple[str, ...] = EVERYWHERE + AZURES) -> Decorator:
    """Mounts a view under every address that OpenAI's and Azure's clients know the route by."""

    def decorate(view: View) -> View:
        view = blueprint.doc(**documentation)(blueprint.errors(*REFUSALS)(view))
        for address in addresses:
            view = blueprint.route(address.format(route), methods=["POST"])(view)
        return view

    return decorate


@_offered("responses", RESPOND, RESPONSES)
def responses(model: str | None = None) -> Response:
    """Get a response from a model (OpenAI's newer chat).

    A response in the `background` is refused: its cost could not be metered.
    """
    return call("responses", model)


@_offered("responses/compact", COMPACT, RESPONSES)
def compact(model: str | None = None) -> Response:
    """Shorten a conversation, so that it fits into a model's context."""
    return call("responses/compact", model)


@_offered("responses/input_tokens", COUNT, RESPONSES)
def input_tokens(model: str | None = None) -> Response:
    """Count the tokens of a conversation before it is sent. Costs nothing."""
    return call("responses/input_tokens", model)


@_offered("images/generations", DRAW)
def images(model: str | None = None) -> Response:
    """Make images from a text."""
    return call("images/generations", model)


@_offered("images/edits", EDIT)
def image_edits(model: str | None = None) -> Response:
    """Make images from images and a text. The body is a form with files, or JSON with `images`."""
    return call("images/edits", model)


@_offered("audio/speech", SPEAK)
def speech(model: str | None = None) -> Response:
    """Speak a text. The sound comes as the provider makes it, so that no header tells its cost."""
    return call("audio/speech", model)


@_offered("audio/transcriptions", HEAR)
def transcriptions(model: str | None = None) -> Response:
    """Write down what is said in a recording."""
    return call("audio/transcriptions", model)


@_offered("audio/translations", TRANSLATE)
def translations(model: str | None = None) -> Response:
    """Write down in English what is said in a recording."""
    return call("audio/translations", model)


@_offered("rerank", RANK, (*EVERYWHERE, "/v2/{}"))
def rerank() -> Response:
    """Put documents in the order of what they say to a query, in Cohere's wire format."""
    return call("rerank")


@_offered("moderations", JUDGE, EVERYWHERE)
def moderations() -> Response:
    """Ask whether a text is harmful. Costs nothing."""
    return call("moderations")
