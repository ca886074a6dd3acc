"""From when to when: days and moments in queries and bodies."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from marshmallow import ValidationError, fields

from app.api.base import Schema
from app.api.schemas import says
from app.errors import BadRequest
from app.models import now

DAY = timedelta(days=1)
# What reports by day are about that are not told from when on.
USUAL_DAYS = 30


def moment_of(text: str) -> datetime:
    """A day's first moment, or a moment; UTC where no zone is stated. Raises ValueError, OverflowError."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class Boundary(fields.String):
    """A day or a moment in ISO 8601, UTC where no zone is stated. `ends`: a day stands for its end."""

    def __init__(self, *, ends: bool = False, **options: Any) -> None:
        """`ends` for the upper boundary, which then includes the whole day."""
        super().__init__(**options)
        self._ends = ends

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        text = super()._deserialize(value, attr, data, **options)
        try:
            try:
                day = date.fromisoformat(text) + timedelta(days=self._ends)
                return datetime.combine(day, time(), UTC)
            except ValueError:
                return moment_of(text)
        except (ValueError, OverflowError) as error:
            raise ValidationError("Must be a day (2026-11-23) or a moment (2026-11-23T08:00:00Z).") from error


class Day(fields.Date):
    """A day in UTC. A moment stands for its whole day."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:  # noqa: ARG002
        try:
            return moment_of(value).date()
        except (TypeError, ValueError, OverflowError) as error:
            raise ValidationError("Must be a day, such as 2026-11-23.") from error


class PeriodQuerySchema(Schema):
    """Which days, in UTC."""

    start_date = Day(metadata=says("The first day (UTC). Without it: from the beginning on.", example="2026-11-01"))
    end_date = Day(metadata=says("The last day (UTC), included. Without it: up to now.", example="2026-11-30"))


class RecentQuerySchema(Schema):
    """Which days, in UTC: the last 30 unless something else is asked for."""

    start_date = Day(metadata=says("The first day (UTC). Without it: 29 days before the last.", example="2026-11-01"))
    end_date = Day(metadata=says("The last day (UTC), included. Without it: today.", example="2026-11-30"))


def recent(given: Mapping[str, Any]) -> tuple[date, date]:
    """First and last day of a RecentQuerySchema."""
    end: date = given.get("end_date") or now().date()
    return given.get("start_date") or max(date.min + DAY * USUAL_DAYS, end) - DAY * (USUAL_DAYS - 1), end


def whole_days(given: Mapping[str, Any]) -> tuple[date, date]:
    """First and last day between two Boundaries. Raises BadRequest where there are none or they cut a day."""
    for name in ("start_date", "end_date"):
        if name not in given:
            raise BadRequest(f"`{name}` is needed for a list of days.", param=name)
        if given[name].time() != time():
            raise BadRequest(f"`{name}`: A list of days counts whole days in UTC.", param=name)
    try:
        return given["start_date"].date(), (given["end_date"] - DAY).date()
    except OverflowError as error:
        raise BadRequest("`end_date`: There is no day before it.", param="end_date") from error
