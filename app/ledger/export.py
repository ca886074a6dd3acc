"""The ledger as a file: CSV or Parquet, written piece by piece, so that its size does not matter."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from app.ledger import rows
from app.money import NANO_PER_DOLLAR

TEXT, NUMBER, FLAG, MOMENT, MONEY, NAMES = "text", "number", "flag", "moment", "money", "names"
# The file's columns and what they hold, in its order: those of the ledger without `meters`; `cost` is in dollars.
COLUMNS = {
    **dict.fromkeys(("request_id",), TEXT),
    "attempt": NUMBER,
    "started_at": MOMENT,
    "first_byte_at": MOMENT,
    "ended_at": MOMENT,
    **dict.fromkeys(("key_id", "token", "user_id", "team_id", "end_user", "customer_id"), TEXT),
    "tags": NAMES,
    **dict.fromkeys(("route", "model_name", "deployment_id", "provider", "model"), TEXT),
    "stream": FLAG,
    "outcome": TEXT,
    "http_status": NUMBER,
    "usage_source": TEXT,
    **dict.fromkeys(
        (
            *("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"),
            *("reasoning_tokens", "audio_input_tokens", "audio_output_tokens"),
        ),
        NUMBER,
    ),
    "cost": MONEY,
    "price": TEXT,
    # Later columns stand behind the earlier ones, for those who count them.
    **dict.fromkeys(
        (
            *("cache_read_audio_tokens", "cache_read_image_tokens", "image_input_tokens", "image_output_tokens"),
            *("web_searches", "images", "audio_ms", "characters", "requests", "pages"),
        ),
        NUMBER,
    ),
    **dict.fromkeys(("tier", "entry"), TEXT),
}
# The most digits that nano-dollars in 64 bits can have; nine of them stand behind the point.
MONEY_DIGITS, MONEY_SCALE = 19, 9
# What spreadsheets take for the beginning of a formula. Callers choose end users, tags and models.
FORMULA = ("=", "+", "-", "@", "\t", "\r")

Chunk = Sequence[Sequence[Any]]


def written(file_format: str, chunks: Iterable[Chunk]) -> Iterator[bytes]:
    """The bytes of a file of FORMATS; a row has the values of COLUMNS, and may have more behind them."""
    return FORMATS[file_format](chunks)


def chunks(**wanted: Any) -> Iterator[Chunk]:
    """The ledger's rows, oldest first, as `rows.Wanted` asks for them. Raises DatabaseUnavailable."""
    return rows.chunks(list(COLUMNS), **wanted)


def _csv(chunks: Iterable[Chunk]) -> Iterator[bytes]:
    """UTF-8 with a line of names. Text that a spreadsheet would take for a formula has an apostrophe before it."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for chunk in chunks:
        writer.writerows(_cells(row) for row in chunk)
        yield _drained(text)
    yield _drained(text)


def _drained(text: io.StringIO) -> bytes:
    data = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return data


def _cells(row: Sequence[Any]) -> list[str]:
    return ["" if value is None else CELLS[kind](value) for value, kind in zip(row, COLUMNS.values(), strict=False)]


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text


def _dollars(nano: int) -> Decimal:
    return Decimal(nano) / NANO_PER_DOLLAR


CELLS: dict[str, Callable[[Any], str]] = {
    TEXT: _harmless,
    NUMBER: str,
    FLAG: lambda value: "true" if value else "false",
    MOMENT: datetime.isoformat,
    MONEY: lambda nano: f"{_dollars(nano):.{MONEY_SCALE}f}",
    NAMES: lambda names: _harmless(",".join(names)),
}


class _Sink(io.RawIOBase):
    """A file that keeps what was written to it until it is taken."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        self._size += len(piece)
        return len(piece)

    def taken(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data


def _parquet(chunks: Iterable[Chunk]) -> Iterator[bytes]:
    """A row group for each chunk. Money is decimal dollars, moments are microseconds in UTC."""
    # Takes a second and 100 MB that no other part of the gateway needs.
    import pyarrow as pa  # type: ignore[import-untyped]  # noqa: PLC0415
    from pyarrow import parquet  # noqa: PLC0415

    types = {
        TEXT: pa.string(),
        NUMBER: pa.int64(),
        FLAG: pa.bool_(),
        MOMENT: pa.timestamp("us", tz="UTC"),
        MONEY: pa.decimal128(MONEY_DIGITS, MONEY_SCALE),
        NAMES: pa.list_(pa.string()),
    }
    schema = pa.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    sink = _Sink()
    with parquet.ParquetWriter(sink, schema) as writer:
        for chunk in chunks:
            columns = dict(zip(COLUMNS, zip(*chunk, strict=True), strict=False))
            columns["cost"] = tuple(map(_dollars, columns["cost"]))
            writer.write_table(pa.table(columns, schema=schema))
            yield sink.taken()
    yield sink.taken()


FORMATS: dict[str, Callable[[Iterable[Chunk]], Iterator[bytes]]] = {"csv": _csv, "parquet": _parquet}
