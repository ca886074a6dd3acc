"""Fields as the admin API writes them: dollars, moments, durations, and text that every database can store."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import marshmallow
import orjson
from marshmallow import ValidationError, fields, validate

from app import durations, money
from app.models import now

CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
LONGEST_TEXT = 255
MOST_NAMES = 1000
LARGEST_METADATA_BYTES = 64 * 1024
# The largest number that an integer column holds on both databases.
LARGEST_COUNT = 2**31 - 1


class Text(fields.String):
    """Text of at least one character, none of them a control character: PostgreSQL cannot store NUL."""

    def __init__(self, *, longest: int = LONGEST_TEXT, **options: Any) -> None:
        """`longest` is the most characters that are accepted."""
        super().__init__(validate=validate.Length(1, longest), **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str:
        text = super()._deserialize(value, attr, data, **options)
        if CONTROL_CHARACTERS.search(text):
            raise ValidationError("Must not hold control characters.")
        return text


class Email(Text):
    """An e-mail address, checked no further than that it could be one."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str:
        text = super()._deserialize(value, attr, data, **options)
        if "@" not in text.strip("@"):
            raise ValidationError("Must be an e-mail address.")
        return text


class Dollars(fields.Float):
    """Dollars in JSON, nano-dollars inside."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_options: Any) -> Any:  # noqa: ARG002
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValidationError("Must be a number of dollars, 0 or more.")
        try:
            return money.budget_from_json(value)
        except ValueError as error:
            raise ValidationError(str(error)) from error

    def _serialize(self, value: Any, attr: str | None, obj: Any, **_options: Any) -> float | None:  # noqa: ARG002
        return money.optional_to_json(value)


class SignedDollars(Dollars):
    """As Dollars, below 0 too; 0 is refused."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        negative = isinstance(value, (int, float)) and value < 0
        nano: int = super()._deserialize(-value if negative else value, attr, data, **options)
        if not nano:
            raise ValidationError("Must not be 0.")
        return -nano if negative else nano


class Count(fields.Integer):
    """A whole number, 0 or more."""

    def __init__(self, *, least: int = 0, most: int = LARGEST_COUNT, **options: Any) -> None:
        """`least` and `most` are accepted themselves."""
        super().__init__(validate=validate.Range(least, most), **options)


class Flag(fields.Boolean):
    """JSON's true or false and nothing that looks like them."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_options: Any) -> bool:  # noqa: ARG002
        if not isinstance(value, bool):
            raise ValidationError("Must be true or false.")
        return value


class Moment(fields.DateTime):
    """A moment in ISO 8601, always in UTC and always written with Z. What states no zone is read as UTC."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> datetime:
        moment = super()._deserialize(value, attr, data, **options)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **_options: Any) -> str | None:  # noqa: ARG002
        return None if value is None else iso(value)


class Names(fields.List[str]):
    """A list of names; null is the empty list."""

    def __init__(self, **options: Any) -> None:
        """As marshmallow's List of Text."""
        super().__init__(Text(), allow_none=True, validate=validate.Length(0, MOST_NAMES), **options)


class Metadata(fields.Dict):
    """A JSON object of the caller's own, which the gateway only keeps."""

    def __init__(self, **options: Any) -> None:
        """As marshmallow's Dict with text keys."""
        super().__init__(keys=fields.String(), allow_none=True, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        document = super()._deserialize(value, attr, data, **options)  # type: ignore[no-untyped-call]
        try:
            size = len(orjson.dumps(document))
        except orjson.JSONEncodeError as error:
            raise ValidationError("Is nested too deeply.") from error
        if size > LARGEST_METADATA_BYTES:
            raise ValidationError(f"Is larger than {LARGEST_METADATA_BYTES} bytes.")
        return document


def lifetime(*, least: int = 1, **options: Any) -> marshmallow.fields.Field[Any]:
    """A span of time such as "20m", of at least so many seconds."""

    def check(text: str) -> None:
        if durations.seconds(text, now()) < least:
            raise ValueError(f"Must be {least} seconds or more.")

    return _checked(check, **options)


def window(**options: Any) -> marshmallow.fields.Field[Any]:
    """A budget's window, such as "30d"."""
    return _checked(durations.check_window, **options)


def zone(**options: Any) -> marshmallow.fields.Field[Any]:
    """An IANA time zone, such as "Europe/Berlin"."""
    return _checked(durations.zone, **options)


def weekday(**options: Any) -> marshmallow.fields.Field[Any]:
    """A day of the week, such as "monday"."""
    return _checked(durations.week_start, **options)


def iso(moment: datetime) -> str:
    """A moment as every answer writes it: "2026-11-23T06:40:00.000Z"."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _checked(check: Callable[[str], object], **options: Any) -> marshmallow.fields.Field[Any]:
    def validator(text: str) -> None:
        try:
            check(text)
        except ValueError as error:
            raise ValidationError(str(error)) from error

    return fields.String(validate=validator, **options)
