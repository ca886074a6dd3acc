"""Column types that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated, Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import mapped_column


class UtcDateTime(sa.TypeDecorator[datetime]):
    """A moment in UTC. SQLite forgets the zone, so it is put back on reading."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """A naive moment would be stored as some other one: refused."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Always aware, always UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.fromtimestamp(time.time(), UTC)


# Nano-dollars; Python and SQL integers alike.
Nano = Annotated[int, mapped_column(sa.BigInteger)]
OptionalNano = Annotated[int | None, mapped_column(sa.BigInteger)]
Moment = Annotated[datetime, mapped_column(UtcDateTime)]
OptionalMoment = Annotated[datetime | None, mapped_column(UtcDateTime)]
Names = Annotated[list[str], mapped_column(sa.JSON)]
Document = Annotated[dict[str, Any], mapped_column(sa.JSON)]
