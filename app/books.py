"""The books as a whole, in SQL and in Redis: do they agree, and who holds how much for which call."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date

from app import money
from app.access.callers import MASTER_KEY_ID
from app.ledger import balances, post, reconcile
from app.ledger.balances import Settled, Window
from app.ledger.event import CallEvent
from app.limits import holds
from app.limits.holds import BudgetState

# What was not settled a moment ago is no difference; what has not moved after this time is one.
SECOND_LOOK_SECONDS = 1.0
# Beyond this many events the worker is far behind, and which cost has no event cannot be told.
MOST_EVENTS = 20_000
MOST_CALLS = 10_000
MOST_SHOWN = 5


class OutOfTime(Exception):
    """The comparison took longer than it may; what was not looked at is not known to differ."""


@dataclass(frozen=True, slots=True)
class Hold:
    """One call and what it holds: nano-dollars, altogether and by (meter, window start).

    `state` is "running", or "unsettled": it has ended, and `held` is its cost, which is not in the ledger yet.
    """

    event: CallEvent
    state: str
    held: int
    meters: tuple[tuple[Window, int], ...]
    lease_ends_ms: int | None


@dataclass(slots=True)
class _Look:
    """What one look at Redis found: lines by budget or by meter with slots, and what depends on events that wait.

    `behind` are versions that SQL has and Redis has not; `costs` are calls whose cost is due, `lost` those of them that
    had no event when the events were read, a moment later.
    """

    lines: dict[Window | str, list[str]] = field(default_factory=dict)
    behind: dict[Window, int] = field(default_factory=dict)
    costs: dict[Window, tuple[str, ...]] = field(default_factory=dict)
    lost: dict[Window, set[str]] = field(default_factory=dict)


def differences(since: date | None = None, seconds: float | None = None) -> Iterator[str]:
    """One line for each difference between ledger, daily totals, balances and Redis.

    Days are compared from `since` on (None: all whose rows are still there). Raises OutOfTime after so many `seconds`
    (None: it takes as long as it takes), LimitsUnavailable, DatabaseUnavailable.
    """
    end = None if seconds is None else time.monotonic() + seconds
    for line in reconcile.differences(since, MASTER_KEY_ID):
        if line is not None:
            yield line
        else:
            _check_time(end)
    unreadable = holds.counts().set_aside
    if unreadable:
        yield f"Redis: events that were set aside because they cannot be booked: {unreadable}"
    first = _look(holds.known(), None, end)
    if first.lines:
        time.sleep(SECOND_LOOK_SECONDS)
        windows = sorted(name for name in first.lines if isinstance(name, tuple))
        meters = sorted(name for name in first.lines if isinstance(name, str))
        second = _look(_pages(windows, meters), first, end)
        yield from (line for found in second.lines.values() for line in found)


def _look(known: Iterable[tuple[list[Window], list[str]]], earlier: _Look | None, end: float | None) -> _Look:
    """Compares budgets and slots; what was settled since an `earlier` look is no difference."""
    look = _Look()
    needed = {} if earlier is None else earlier.behind
    for windows, meters in known:
        if not windows and not meters:
            continue
        # Redis first: SQL is always ahead of it, so whatever is the other way round is wrong.
        states, strays = holds.audit(windows, meters)
        settled = balances.settled(windows)
        for window, state in states.items():
            _compare(look, window, state, settled[window], needed.get(window, settled[window].version))
        for meter, calls in strays.items():
            if calls:
                look.lines[meter] = [f"{meter}: slots are taken by calls that do not run: {_some(calls)}"]
        _check_time(end)
    _ask_the_events(look, earlier)
    return look


def _compare(look: _Look, window: Window, state: BudgetState, settled: Settled, needed: int) -> None:
    lines = []
    if state.held != state.holds:
        lines.append(f"{money.shown(state.held)} is held, the calls' holds add up to {money.shown(state.holds)}")
    if state.due != state.costs:
        lines.append(f"{money.shown(state.due)} is due, the calls' costs add up to {money.shown(state.costs)}")
    if state.strays:
        lines.append(f"money is held by calls that do not run: {_some(state.strays)}")
    if state.version is not None:
        if state.version > settled.version:
            lines.append(f"Redis knows version {state.version} of the balance, SQL only {settled.version}")
        elif state.version == settled.version and state.spend != settled.spend:
            spend = money.shown(state.spend or 0)
            lines.append(f"Redis says that {spend} was spent, SQL says {money.shown(settled.spend)}")
        elif state.version < needed:
            look.behind[window] = needed
    if state.unsettled:
        look.costs[window] = state.unsettled
    if lines:
        look.lines[window] = [f"{_named(window)}: {line}" for line in lines]


def _ask_the_events(look: _Look, earlier: _Look | None) -> None:
    """What an event that waits will put right is no difference."""
    if not look.behind and not look.costs:
        return
    waiting, coming = set[str](), set[Window]()
    for number, entry in enumerate(holds.waiting(MOST_EVENTS + 1)):
        if number == MOST_EVENTS:
            return
        if (event := _event(entry.event)) is not None:
            waiting.add(event.request_id)
            coming.update(post.windows(event))
    for window in look.behind.keys() - coming:
        line = f"{_named(window)}: Redis has not heard of version {look.behind[window]} of the balance"
        look.lines.setdefault(window, []).append(line)
    for window, costs in look.costs.items():
        lost = look.lost[window] = set(costs) - waiting
        if earlier is not None:
            # Settled between the look at the costs and the one at the events: no harm, unless it stays so.
            lost &= earlier.lost.get(window, set())
        if lost:
            line = f"{_named(window)}: the cost of calls is due that no event will settle: {_some(sorted(lost))}"
            look.lines.setdefault(window, []).append(line)


def in_flight(
    *, user_id: str | None = None, key_id: str | None = None, page: int = 1, page_size: int = 100
) -> tuple[list[Hold], int]:
    """One page of calls that run or are not settled yet, oldest first, and how many there are.

    Of each kind MOST_CALLS are looked at. Raises LimitsUnavailable.
    """
    found: dict[str, tuple[CallEvent, str, int, int | None]] = {}
    for call in holds.running(MOST_CALLS):
        if (event := _event(call.template)) is not None:
            found[event.request_id] = (event, "running", event.hold, call.lease_ends_ms)
    for entry in holds.waiting(MOST_CALLS):
        if (event := _event(entry.event)) is not None:
            cost = sum(row["cost"] for row in post.rows_of(event, entry.abandoned))
            found[event.request_id] = (event, "unsettled", cost, None)
    wanted = [one for one in found.values() if user_id in (None, one[0].user_id) and key_id in (None, one[0].key_id)]
    wanted.sort(key=lambda one: (one[0].started_ms, one[0].request_id))
    return _with_amounts(wanted[(page - 1) * page_size : page * page_size]), len(wanted)


def _with_amounts(calls: Sequence[tuple[CallEvent, str, int, int | None]]) -> list[Hold]:
    asked = [
        (event, ((meter, start), ("h" if state == "running" else "d") + event.request_id))
        for event, state, _, _ in calls
        for meter, start, has_budget in event.meters
        if has_budget
    ]
    by_call: dict[str, list[tuple[Window, int]]] = {}
    for (event, (window, _)), amount in zip(asked, holds.amounts([pair for _, pair in asked]), strict=True):
        if amount is not None:
            by_call.setdefault(event.request_id, []).append((window, amount))
    return [
        # The last call of a budget holds what was left, which may be less than the estimate.
        Hold(event, state, min([held, *(amount for _, amount in meters)]), tuple(meters), lease_ends_ms)
        for event, state, held, lease_ends_ms in calls
        for meters in [by_call.get(event.request_id, [])]
    ]


def _event(data: bytes) -> CallEvent | None:
    """The worker sets aside what is no event; here it is passed over."""
    try:
        return CallEvent.from_bytes(data)
    except (ValueError, KeyError, TypeError):
        return None


def _pages(windows: list[Window], meters: list[str]) -> Iterator[tuple[list[Window], list[str]]]:
    for first in range(0, max(len(windows), len(meters)), holds.PAGE):
        yield windows[first : first + holds.PAGE], meters[first : first + holds.PAGE]


def _check_time(end: float | None) -> None:
    if end is not None and time.monotonic() > end:
        raise OutOfTime


def _named(window: Window) -> str:
    meter, start = window
    return f"{meter} (window {start})" if start else meter


def _some(calls: Sequence[str]) -> str:
    more = len(calls) - MOST_SHOWN
    return ", ".join(calls[:MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")
