"""Reading what is in flight: calls, the money they hold, costs that are not settled yet. Nothing here is changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from redis.exceptions import RedisError

from app.errors import LimitsUnavailable
from app.extensions import redis
from app.limits import admission
from app.limits.meters import (
    CALLS,
    EVENTS,
    TEMPLATES,
    UNREADABLE,
    Meter,
    amounts_key,
    asked_key,
    budget_key,
    holds_key,
    requests_key,
    slots_key,
    tokens_key,
)
from app.limits.scripts import Script

# What is read at once: Redis answers nobody else meanwhile.
PAGE = 200
BUDGET, HOLDS, SLOTS = budget_key("", 0).partition("@")[0], holds_key("", 0).partition("@")[0], slots_key("")

Window = tuple[str, int]
_audit, _peek = Script("audit"), Script("peek")


@dataclass(frozen=True, slots=True)
class Running:
    """A call that runs: its event as it would be booked should the process die, and when its lease ends (ms)."""

    request_id: str
    lease_ends_ms: int
    template: bytes


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event that the worker has not settled; `abandoned` is what a dead process's call costs, nano-dollars."""

    event: bytes
    abandoned: int | None


@dataclass(frozen=True, slots=True)
class BudgetState:
    """One budget in Redis, nano-dollars. `spend` and `version` are None where it is not seeded from SQL.

    `holds` and `costs` are the sums of what `held` and `due` should be; `strays` are calls that hold money and do not
    run; `unsettled` are calls whose cost is due.
    """

    spend: int | None
    version: int | None
    held: int
    due: int
    holds: int
    costs: int
    strays: tuple[str, ...]
    unsettled: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Live:
    """One meter at this moment, whether it has limits or not.

    Nano-dollars: `spend` is settled (None where Redis has not been told by SQL yet), `held` by calls in flight, `due`
    the cost of finished calls that is not settled yet, `carry` what the window before has left to this one (None where
    Redis has not been told what it spent). A budget has max_budget + `carry` - `spend` - `held` - `due` left: what
    calls of the window before hold or cost of the carry counts as `held` and `due` here.

    `slots` are calls that run, `waiting` calls in the queue for a slot; both are 0 where nothing limits them.
    `requests` and `tokens` are of the last 60 seconds, 0 where nothing limits them.
    """

    spend: int | None
    held: int
    due: int
    carry: int | None
    slots: int
    waiting: int
    requests: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Events that wait for the worker, and events that it set aside because they cannot be booked."""

    waiting: int
    set_aside: int


def running(most: int) -> Iterator[Running]:
    """Calls that run, at most so many. Raises LimitsUnavailable."""
    with _redis_errors():
        calls: Any = redis.client.zrange(CALLS, 0, most - 1, withscores=True)
        for page in _pages(calls):
            templates: Any = redis.client.hmget(TEMPLATES, [request_id for request_id, _ in page])
            for (request_id, ends), template in zip(page, templates, strict=True):
                if template is not None:
                    yield Running(request_id.decode(), int(ends), template)


def waiting(most: int) -> Iterator[Waiting]:
    """Events that the worker has not settled, oldest first, at most so many. Raises LimitsUnavailable."""
    after = "-"
    with _redis_errors():
        while most > 0:
            entries: Any = redis.client.xrange(EVENTS, min=after, count=min(PAGE, most))
            for entry_id, fields in entries:
                after, most = f"({entry_id.decode()}", most - 1
                abandoned = fields.get(b"abandoned")
                yield Waiting(fields.get(b"e", b""), None if abandoned is None else int(abandoned))
            if not entries:
                return


def counts() -> Counts:
    """How many events there are. Raises LimitsUnavailable."""
    with _redis_errors(), redis.client.pipeline(transaction=False) as pipeline:
        pipeline.xlen(EVENTS)
        pipeline.xlen(UNREADABLE)
        return Counts(*pipeline.execute())


def amounts(asked: Sequence[tuple[Window, str]]) -> list[int | None]:
    """What stands for (window, "h<request id>" or "d<request id>"): nano-dollars or None. Raises LimitsUnavailable."""
    found: list[int | None] = []
    with _redis_errors():
        for page in _pages(asked):
            with redis.client.pipeline(transaction=False) as pipeline:
                for window, field in page:
                    pipeline.hget(holds_key(*window), field)
                found += [None if amount is None else int(amount) for amount in pipeline.execute()]
    return found


def known() -> Iterator[tuple[list[Window], list[str]]]:
    """Every budget and every meter with slots that Redis knows, some at a time; a few come twice.

    Raises LimitsUnavailable.
    """
    cursor, first = 0, True
    with _redis_errors():
        while cursor or first:
            answer: Any = redis.client.scan(cursor, match="tollgate:*", count=PAGE)
            cursor, keys, first = answer[0], [key.decode() for key in answer[1]], False
            budgets = {_window(key, prefix) for key in keys for prefix in (BUDGET, HOLDS) if key.startswith(prefix)}
            yield sorted(budgets), sorted(key.removeprefix(SLOTS) for key in keys if key.startswith(SLOTS))


def audit(windows: Sequence[Window], meters: Sequence[str]) -> tuple[dict[Window, BudgetState], dict[str, list[str]]]:
    """Budgets as they stand in one moment, and for each meter its slots that are taken by no running call.

    Raises LimitsUnavailable.
    """
    keys = [CALLS]
    for window in windows:
        keys += [budget_key(*window), holds_key(*window)]
    keys += [slots_key(meter) for meter in meters]
    answer: list[Any] = _audit(keys, [len(windows)])
    states = {window: _state(fields) for window, fields in zip(windows, answer, strict=False)}
    strays = zip(meters, answer[len(windows) :], strict=True)
    return states, {meter: [request_id.decode() for request_id in found] for meter, found in strays}


def peek(meters: Sequence[Meter]) -> list[Live]:
    """How each of these meters stands, all in one moment. Raises LimitsUnavailable."""
    keys = []
    for meter in meters:
        name = meter.name
        keys += [budget_key(name, meter.window_start), slots_key(name), asked_key(name)]
        keys += [requests_key(name), tokens_key(name), amounts_key(name)]
    keys += [budget_key(meter.name, meter.previous) for meter in meters if meter.previous is not None]
    answer: list[list[bytes]] = _peek(keys, [len(meters), admission.WAITER_MS])
    previous = iter(answer[len(meters) :])
    return [
        _live(fields, meter.rolls_over, next(previous) if meter.previous is not None else None)
        for meter, fields in zip(meters, answer, strict=False)
    ]


def _live(fields: list[bytes], rolls_over: int, previous: list[bytes] | None) -> Live:
    held, due, slots, waiting_, requests, tokens = (int(field) for field in fields[1:])
    carry: int | None = 0
    if previous is not None:
        carry, held_of_it, due_of_it = _carry(rolls_over, previous)
        held, due = held + held_of_it, due + due_of_it
    spend = int(fields[0]) if fields[0] else None
    return Live(spend, held, due, carry, slots, waiting_, requests, tokens)


def _carry(rolls_over: int, previous: list[bytes]) -> tuple[int | None, int, int]:
    """What rolls over, what calls in flight take of it, what costs that are not settled take of it; as in admit.lua."""
    if not previous[0]:
        return None, 0, 0
    spend, held, due = (int(field) for field in previous)
    unspent = max(0, rolls_over - spend)
    due = min(due, unspent)
    return unspent, min(held, unspent - due), due


def _state(fields: list[Any]) -> BudgetState:
    spend, version, held, due, holds, costs, strays, unsettled = fields
    return BudgetState(
        spend=int(spend) if spend else None,
        version=int(version) if version else None,
        held=int(held),
        due=int(due),
        holds=int(holds),
        costs=int(costs),
        strays=tuple(request_id.decode() for request_id in strays),
        unsettled=tuple(request_id.decode() for request_id in unsettled),
    )


def _window(key: str, prefix: str) -> Window:
    meter, _, start = key.removeprefix(prefix).rpartition("@")
    return meter, int(start)


def _pages(many: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(many)
    while page := list(islice(rest, PAGE)):
        yield page


@contextmanager
def _redis_errors() -> Iterator[None]:
    """Raises LimitsUnavailable where Redis does not answer."""
    try:
        yield
    except RedisError as error:
        raise LimitsUnavailable("Redis does not answer. Try again.") from error
