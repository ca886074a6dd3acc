"""OpenAI's images: images/generations and images/edits, whole and in events."""

from __future__ import annotations

from typing import Any

from app.providers.base import Counts, Sent, StreamReader, Whole
from app.providers.openai_answers import parsed
from app.providers.openai_routes import RouteFormat
from app.providers.token_counts import together, token_counts
from app.providers.typed_events import TypedEventReader

COMPLETED = (".completed", ".succeeded")


class ImagesFormat(RouteFormat):
    """images/generations and images/edits.

    The number of images is always counted; GPT Image models tell tokens too, others have a price per image.
    """

    def whole(self, _sent: Sent, status: int, answer: bytes) -> Whole:
        """See `base.WireFormat`."""
        if self.is_error(status):
            return Whole(answer)
        images = parsed(answer)
        made = images.get("data")
        counts = image_counts(images, len(made)) if isinstance(made, list) else None
        return Whole(answer, counts)

    def reader(self, sent: Sent) -> StreamReader:
        """See `base.WireFormat`."""
        asked_for = sent.body.get("n")
        return ImagesReader(asked_for if type(asked_for) is int else 1)


class ImagesReader(TypedEventReader):
    """Each image ends with an event of its own that tells its usage; the stream ends with the last of them."""

    __slots__ = ("_left",)

    def __init__(self, images: int) -> None:
        """`images` is how many the client asked for."""
        super().__init__()
        self._left = images

    def rest(self) -> bytes:
        """See `TypedEventReader`. A provider may make fewer images than it was asked for."""
        rest = super().rest()
        self.finished = self.finished or (self.counts is not None and not rest)
        return rest

    def _note(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if isinstance(kind, str) and kind.endswith(COMPLETED):
            self.counts = together(self.counts, image_counts(event, 1))
            self._left -= 1
            self.finished = self._left <= 0


def image_counts(answer: dict[str, Any], images: int) -> Counts:
    """Usage of images: their number, and tokens where they are told. Also SVG that a text model has written.

    API reference, "Create image": without details all output tokens are image tokens.
    """
    tokens = token_counts(answer.get("usage"), all_output="image_output")
    tokens = together(tokens, token_counts(answer.get("svg_usage")))
    return {**(tokens or {}), "images": images}
