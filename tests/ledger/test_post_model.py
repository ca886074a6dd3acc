"""Posting against a straightforward model: whatever batches come, rows, balances and totals are what the model says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import chain, starmap
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.extensions import db, write_transaction
from app.ledger import balances, post
from app.ledger.balances import Settled, Window
from app.ledger.event import Attempt, CallEvent
from app.models import Balance, DailySpend, DailyTag, LedgerRow

DAY_MS = 24 * 3600 * 1000
# Whatever a caller may write into a name, quotes and line ends included.
NAMES = st.sampled_from(["ada", 'b"o\\b', "çelik\n\t{}", "x,y'"])


@pytest.fixture(autouse=True)
def database(gateway_app: Flask) -> Iterator[None]:
    with gateway_app.app_context():
        yield


@st.composite
def attempts(draw: st.DrawFn) -> Attempt:
    used, outcome = draw(st.integers(0, 50)), draw(st.sampled_from(["success", "failure", "cancelled"]))
    usage = [used, draw(st.integers(0, 9)), *[0] * 6]
    cost, provider = draw(st.integers(0, 10**12)), draw(st.sampled_from(["openai", "azure"]))
    return Attempt("d1", provider, "gpt", outcome, 200, "provider", usage, cost, "test")


@st.composite
def events(draw: st.DrawFn) -> tuple[CallEvent, int | None]:
    user = draw(st.none() | NAMES)
    meters: list[list[Any]] = [["key:k1", 0, 0], ["gateway", 0, 0]]
    if user is not None:
        meters += [[f"user:{user}", 0, 1], [f"user:{user}", draw(st.sampled_from([60, 120])), 1]]
    call = CallEvent(
        request_id=f"r{draw(st.integers(0, 12))}",
        key_id="k1",
        token="0" * 64,
        user_id=user,
        end_user=draw(st.none() | NAMES),
        route="chat/completions",
        model_name=draw(st.sampled_from(["m", "n"])),
        stream=draw(st.booleans()),
        started_ms=draw(st.integers(0, 3 * DAY_MS)),
        hold=500,
        meters=meters,
        attempts=draw(st.lists(attempts(), min_size=1, max_size=3)),
        first_byte_ms=draw(st.none() | st.integers(0, 3 * DAY_MS)),
        ended_ms=2_000,
        tags=draw(st.lists(NAMES, max_size=3)),
    )
    return call, draw(st.none() | st.integers(0, 10**12))


BATCHES = st.lists(st.lists(events(), max_size=10), max_size=4)


@dataclass
class Model:
    """What must be in the books: rows by key, and sums that are counted row by row."""

    rows: dict[tuple[str, int], tuple[Any, ...]] = field(default_factory=dict)
    balances: dict[Window, Settled] = field(default_factory=dict)
    days: dict[tuple[Any, ...], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0] * 5))
    tags: dict[tuple[date, str], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0] * 5))

    def post(self, batch: list[tuple[CallEvent, int | None]]) -> set[Window]:
        """The balances that the batch has changed."""
        changed: set[Window] = set()
        for event, abandoned in batch:
            if any(request_id == event.request_id for request_id, _ in self.rows):
                continue
            for number, attempt in enumerate(event.attempts if abandoned is None else [None]):
                changed |= self._add(event, number, attempt, abandoned)
        for window in changed:
            self.balances[window] = Settled(self.balances[window].spend, self.balances[window].version + 1)
        return changed

    def _add(self, event: CallEvent, number: int, attempt: Attempt | None, abandoned: int | None) -> set[Window]:
        started = datetime.fromtimestamp(event.started_ms / 1000, UTC)
        first = None if event.first_byte_ms is None else datetime.fromtimestamp(event.first_byte_ms / 1000, UTC)
        if attempt is None:
            spent, tokens, outcome, provider = abandoned or 0, (0, 0), "abandoned", ""
        else:
            tokens = attempt.usage[0], attempt.usage[1]
            spent, outcome, provider = attempt.cost, attempt.outcome, attempt.provider
        windows = [(meter, start) for meter, start, _ in event.meters]
        said = [list(window) for window in windows]
        self.rows[event.request_id, number] = (
            *(event.user_id, event.end_user, event.tags, event.model_name, event.stream, provider, outcome),
            *(*tokens, spent, started, first, said),
        )
        counted = (1, int(outcome in ("failure", "abandoned")), *tokens, spent)
        day = (started.date(), event.user_id or "", event.model_name, provider)
        for total in self.days[day], *(self.tags[started.date(), tag] for tag in set(event.tags)):
            total[:] = [had + more for had, more in zip(total, counted, strict=True)]
        for window in windows:
            had = self.balances.get(window, balances.NOTHING)
            self.balances[window] = Settled(had.spend + spent, had.version)
        return set(windows)


def columns(table: Any, names: str) -> list[tuple[Any, ...]]:
    selected = sa.select(*(getattr(table, name) for name in names.split()))
    found = [tuple(row) for row in db.session.execute(selected)]
    db.session.rollback()
    return found


def emptied() -> None:
    with write_transaction() as session:
        for table in (LedgerRow, Balance, DailySpend, DailyTag):
            session.execute(sa.delete(table))


SUMS = "requests failed_requests input_tokens output_tokens cost"


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=BATCHES)
def test_rows_balances_and_totals_are_what_a_plain_model_says(
    batches: list[list[tuple[CallEvent, int | None]]],
) -> None:
    emptied()
    model = Model()
    for batch in batches:
        expected = model.post(batch)
        with write_transaction() as session:
            changed = post.post(session, starmap(post.rows_of, batch))
        assert changed == {window: model.balances[window] for window in expected}
    names = "user_id end_user tags model_name stream provider outcome input_tokens output_tokens cost"
    rows = columns(LedgerRow, f"request_id attempt {names} started_at first_byte_at meters")
    assert {row[:2]: row[2:] for row in rows} == model.rows
    assert {
        row[:2]: Settled(*row[2:]) for row in columns(Balance, "meter window_start spend version")
    } == model.balances
    days = columns(DailySpend, f"day user_id model_name provider {SUMS}")
    assert {row[:4]: list(row[4:]) for row in days} == model.days
    assert {row[:2]: list(row[2:]) for row in columns(DailyTag, f"day tag {SUMS}")} == model.tags


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=BATCHES)
def test_posting_everything_again_in_one_batch_changes_nothing(
    batches: list[list[tuple[CallEvent, int | None]]],
) -> None:
    emptied()
    for batch in batches:
        with write_transaction() as session:
            post.post(session, starmap(post.rows_of, batch))
    before = columns(Balance, "meter window_start spend version"), columns(DailySpend, SUMS)
    with write_transaction() as session:
        changed = post.post(session, starmap(post.rows_of, chain(*batches)))
    assert changed == {}
    assert (columns(Balance, "meter window_start spend version"), columns(DailySpend, SUMS)) == before
