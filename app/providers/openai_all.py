"""OpenAI with all of its routes that can be metered."""

from __future__ import annotations

from collections.abc import Collection

from app.providers.base import WireFormat
from app.providers.free import FreeFormat
from app.providers.images import ImagesFormat
from app.providers.openai import OpenAI
from app.providers.openai_routes import Endpoint, RouteFormat
from app.providers.rerank import RerankFormat
from app.providers.responses import ResponsesFormat
from app.providers.speech import SpeechFormat
from app.providers.transcriptions import TranscriptionsFormat

FORMATS: dict[str, type[RouteFormat]] = {
    "responses": ResponsesFormat,
    "responses/compact": ResponsesFormat,
    "responses/input_tokens": FreeFormat,
    "images/generations": ImagesFormat,
    "images/edits": ImagesFormat,
    "audio/speech": SpeechFormat,
    "audio/transcriptions": TranscriptionsFormat,
    "audio/translations": TranscriptionsFormat,
    "moderations": FreeFormat,
}


class AllRoutes(OpenAI):
    """The text routes and all others."""

    def __init__(self, name: str, endpoint: Endpoint, without: Collection[str] = ()) -> None:
        """`without` are routes that the vendor has not."""
        super().__init__(name, endpoint)
        more: dict[str, WireFormat] = {
            route: made(endpoint, route) for route, made in FORMATS.items() if route not in without
        }
        # OpenAI itself has no reranker; servers that speak its language do.
        ranked: dict[str, WireFormat] = {} if "rerank" in without else {"rerank": RerankFormat(endpoint)}
        self.formats = {**self.formats, **more, **ranked}
