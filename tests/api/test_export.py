"""The ledger as a file."""

from __future__ import annotations

import csv
import gc
import io
import tracemalloc
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from pyarrow import parquet  # type: ignore[import-untyped]

from app.extensions import write_transaction
from app.ledger import export, rows
from app.models import LedgerRow
from tests.api.conftest import Ask
from tests.api.test_spend import NOON, booked, row


def columns(one: LedgerRow) -> dict[str, Any]:
    """What is exported of a row: all but the balances that its cost is part of."""
    names = one.__mapper__.column_attrs.keys()
    return {name: getattr(one, name) for name in names if name != "meters"}


def lines(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_row_is_a_line(admin: Ask, gateway_app: Flask) -> None:
    booked(gateway_app, row("req_1", tags=["a", "b"], cost=1_234_567_890_123, first_byte_at=NOON))
    answer = admin("/spend/export")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    (line,) = lines(answer.text)
    assert set(line) == set(LedgerRow.__table__.columns.keys()) - {"meters"}
    wanted = {
        "request_id": "req_1",
        "cost": "1234.567890123",
        "tags": "a,b",
        "started_at": "2026-11-23T12:00:00+00:00",
        "stream": "false",
        "team_id": "",
        "input_tokens": "10",
    }
    assert {name: line[name] for name in wanted} == wanted


def test_parquet_has_types(admin: Ask, gateway_app: Flask) -> None:
    given = {"tags": ["a", "b"], "cost": 9_007_199_254_740_993, "first_byte_at": NOON, "end_user": "=1+1"}
    booked(gateway_app, row("req_1", **given))
    answer = admin("/spend/export", format="parquet")
    table = parquet.read_table(io.BytesIO(answer.data))
    assert [str(table.schema.field(name).type) for name in ("cost", "started_at")] == [
        "decimal128(19, 9)",
        "timestamp[us, tz=UTC]",
    ]
    (one,) = table.to_pylist()
    assert one == columns(row("req_1", **given)) | {
        "cost": Decimal("9007199.254740993"),
        "team_id": None,
        "customer_id": None,
    }


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+1", "-1", "@x", "\t=1", "\r=1"])
def test_a_spreadsheet_takes_no_text_for_a_formula(admin: Ask, gateway_app: Flask, text: str) -> None:
    booked(gateway_app, row("req_1", end_user=text, tags=[text]))
    (line,) = lines(admin("/spend/export").text)
    assert (line["end_user"], line["tags"]) == ("'" + text, "'" + text)


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_an_empty_ledger_is_a_file_too(admin: Ask, file_format: str) -> None:
    answer = admin("/spend/export", format=file_format)
    found = lines(answer.text) if file_format == "csv" else parquet.read_table(io.BytesIO(answer.data)).to_pylist()
    assert (answer.status_code, found) == (200, [])


def test_rows_come_piece_by_piece_each_once_and_the_oldest_first(
    admin: Ask, gateway_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "ROWS_AT_ONCE", 4)
    # Many of one moment, attempts of one call, and a number of rows that is a multiple of the pieces'.
    made = [row(f"req_{n % 9}", attempt=n // 9, started_at=NOON + timedelta(seconds=n % 2)) for n in range(16)]
    wanted = sorted((one.started_at, one.request_id, one.attempt) for one in made)
    booked(gateway_app, *made)
    found = [(line["request_id"], int(line["attempt"])) for line in lines(admin("/spend/export").text)]
    assert found == [place[1:] for place in wanted]
    pieces = parquet.ParquetFile(io.BytesIO(admin("/spend/export", format="parquet").data))
    assert (pieces.num_row_groups, pieces.read().num_rows) == (4, 16)


def test_a_large_ledger_takes_no_more_memory_than_a_small_one(
    gateway_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "ROWS_AT_ONCE", 1000)

    def peak() -> int:
        gc.collect()
        tracemalloc.start()
        found = sum(
            piece.count(b"\n") - (not number) for number, piece in enumerate(export.written("csv", export.chunks()))
        )
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        counted.append(found)
        return most

    counted: list[int] = []
    with gateway_app.app_context():
        add(0, 3_000)
        small = peak()
        add(3_000, 24_000)
        assert peak() < small * 1.3
    assert counted == [3_000, 24_000]


def add(first: int, end: int) -> None:
    base = columns(row("")) | {"tags": [], "stream": False}
    with write_transaction() as session:
        made = [
            base | {"request_id": f"req_{n}", "started_at": NOON + timedelta(seconds=n // 7)} for n in range(first, end)
        ]
        session.connection().execute(LedgerRow.__table__.insert(), made)


def test_rows_can_be_chosen(admin: Ask, gateway_app: Flask) -> None:
    booked(gateway_app, row("req_1"), row("req_2", user_id="bob", team_id="red", started_at=NOON.replace(day=22)))
    for query in (
        {"user_id": "bob"},
        {"team_id": "red"},
        {"end_date": "2026-11-22"},
        {"start_date": "2026-11-20", "user_id": "bob"},
    ):
        assert [line["request_id"] for line in lines(admin("/spend/export", **query).text)] == ["req_2"]


def test_a_virtual_key_gets_its_own_rows(admin: Ask, ask: Ask, gateway_app: Flask) -> None:
    key = admin("/user/new", {"user_id": "ada"}).json
    booked(gateway_app, row("req_1", key_id=key["key_id"]), row("req_2"))
    assert [line["request_id"] for line in lines(ask(key["key"], "/spend/export").text)] == ["req_1"]


def test_a_format_that_is_none_is_refused(admin: Ask) -> None:
    answer = admin("/spend/export", format="xlsx")
    assert (answer.status_code, answer.json["error"]["param"]) == (400, "format")
