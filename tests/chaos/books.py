"""The books: the provider's count, the callers' word, the ledger, the balances and the API must all say the same."""

from __future__ import annotations

import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from tests.chaos.counters import leftovers
from tests.chaos.load import Told
from tests.chaos.models import COST, INPUT_TOKENS, OUTPUT_TOKENS
from tests.chaos.people import NANO, Person

COLUMNS = "request_id, key_id, token, user_id, end_user, outcome, cost, input_tokens, output_tokens, attempt"
ROWS = f"SELECT {COLUMNS} FROM ledger"
BALANCES = "SELECT meter, window_start, spend FROM balance"
EVER = 0


@dataclass(frozen=True)
class Served:
    """A call as the provider saw it. `left`: its client was gone before the end. Times are seconds of the epoch."""

    name: str
    left: bool
    began: float
    ended: float


@dataclass(frozen=True)
class Row:
    """A row of the ledger; `name` is the end user that the call named, `cost` is nano-dollars."""

    request_id: str
    key_id: str
    token: str
    user_id: str
    name: str
    outcome: str
    cost: int
    input_tokens: int
    output_tokens: int
    attempt: int


@dataclass(frozen=True)
class Accounts:
    """What every part says: told by callers, served by the provider, SQL's rows and balances, what the API shows.

    `windows` are balances by meter and start, `shown` (meter, balance) pairs, all in nano-dollars; `left` is what Redis
    still counts.
    """

    people: Sequence[Person]
    told: Sequence[Told]
    served: Sequence[Served]
    rows: Sequence[Row]
    windows: dict[tuple[str, int], int]
    shown: Sequence[tuple[str, int]]
    left: dict[str, int]

    def facts(self) -> dict[str, str]:
        """Numbers for the report."""
        outcomes = Counter(row.outcome for row in self.rows)
        unseen = {row.name for row in self.rows} - {call.name for call in self.served}
        return {
            "calls that callers made": f"{len(self.told)}",
            "calls that the provider served": f"{len(self.served)}",
            "rows": f"{len(self.rows)} ({', '.join(f'{n} {what}' for what, n in outcomes.most_common())})",
            "rows of calls that the provider never saw": f"{len(unseen)}",
            "sum of all rows": f"${sum(row.cost for row in self.rows) / NANO:.6f}",
            "people with limits": f"{sum(bool(person.limits or person.key_limits) for person in self.people)}",
            "budgets that were spent": f"{sum(map(self._is_spent, self.people))}",
        }

    def _is_spent(self, person: Person) -> bool:
        budget = _nano(person.limits)
        return budget > 0 and self.windows.get((f"user:{person.user_id}", EVER), 0) > budget - COST


class Books:
    """`problems` are sentences; an empty list is the only good one."""

    def __init__(self, accounts: Accounts) -> None:
        self.problems: list[str] = []
        self._accounts = accounts
        self._rows = accounts.rows
        self._windows = accounts.windows
        self._balances = {meter: spend for (meter, start), spend in accounts.windows.items() if start == EVER}
        self._told = {one.name: one for one in accounts.told}
        self._served = {one.name: one for one in accounts.served}
        # Of several attempts the last one counts.
        self._by_name = {row.name: row for row in sorted(accounts.rows, key=lambda row: (row.request_id, row.attempt))}

    def check(self) -> None:
        """All of it."""
        self._every_served_call_has_one_row()
        self._successes_cost_what_the_provider_says()
        self._whole_answers_are_successes()
        self._refused_calls_are_not_booked()
        self._balances_are_sums()
        self._shown_is_true()
        self._budgets_hold()
        self._budgets_of_windows_hold()
        self._slots_hold()
        self._say("still counted in Redis", (f"{name} = {value}" for name, value in self._accounts.left.items()))

    def _say(self, problem: str, which: Iterable[object]) -> None:
        found = [str(one) for one in which]
        if found:
            self.problems.append(f"{problem}: {len(found)}, such as {'; '.join(sorted(found)[:3])}")

    def _with_its_caller(self, call: Served) -> str:
        """When it was served, from the first call on, and what its caller was told."""
        start = min((one.began for one in self._told.values()), default=call.began)
        told = self._told[call.name].what if call.name in self._told else "nothing"
        return f"{call.name} ({call.began - start:.1f} to {call.ended - start:.1f} s, told {told})"

    def _with_its_rows(self, name: str) -> str:
        """What was booked for it."""
        rows = sorted((row.request_id, row.attempt, row.outcome) for row in self._rows if row.name == name)
        return f"{name} ({', '.join(f'{request_id}/{attempt} {outcome}' for request_id, attempt, outcome in rows)})"

    def _every_served_call_has_one_row(self) -> None:
        rows = Counter(row.name for row in self._rows)
        served = Counter(call.name for call in self._accounts.served)
        # What a dead process knew of the attempts that had failed before nobody knows any more.
        abandoned = {row.name for row in self._rows if row.outcome == "abandoned"}
        lost = [call for call in self._served.values() if rows[call.name] < served[call.name]]
        lost = [call for call in lost if not rows[call.name] or call.name not in abandoned]
        self._say("served by the provider, but no row", (self._with_its_caller(call) for call in lost))
        # A process can die when it has admitted a call, or a model that stands in, and before the provider is asked.
        possible = {name: max(1, served[name] + (name in abandoned)) for name in rows}
        more = (self._with_its_rows(name) for name, number in rows.items() if number > possible[name])
        self._say("more rows than the provider served", more)
        self._say(
            "a success that the provider never served",
            (row for row in self._rows if row.outcome == "success" and row.name not in self._served),
        )

    def _successes_cost_what_the_provider_says(self) -> None:
        self._say(
            "a success that does not cost what the provider says",
            (row for row in self._rows if row.outcome == "success" and not _is_right(row)),
        )

    def _whole_answers_are_successes(self) -> None:
        whole = [one.name for one in self._told.values() if one.what == "200"]
        self._say(
            "answered whole, but no success in the ledger",
            (
                self._by_name.get(name, name)
                for name in whole
                if name not in self._by_name or self._by_name[name].outcome != "success"
            ),
        )

    def _refused_calls_are_not_booked(self) -> None:
        """But for attempts that failed before there was no room for the next one."""
        refused = (one for one in self._told.values() if one.what.startswith(("429", "503")))
        self._say(
            "refused, and yet in the ledger",
            (
                f"{one.what}: {self._by_name[one.name]}"
                for one in refused
                if one.name in self._by_name and self._by_name[one.name].outcome != "failure"
            ),
        )

    def _balances_are_sums(self) -> None:
        sums: dict[str, int] = defaultdict(int)
        for row in self._rows:
            sums[f"user:{row.user_id}"] += row.cost
            sums[f"key:{row.key_id}"] += row.cost
            sums["gateway"] += row.cost
        wrong = {meter for meter in sums.keys() | self._balances if sums.get(meter) != self._balances.get(meter)}
        self._say(
            "a balance that is not the sum of its rows",
            (f"{meter}: {self._balances.get(meter)} instead of {sums.get(meter)}" for meter in wrong),
        )

        in_windows: dict[str, int] = defaultdict(int)
        for (meter, start), spend in self._windows.items():
            in_windows[meter] += spend if start != EVER else 0
        windowed = {meter for meter, start in self._windows if start != EVER}
        self._say(
            "windows that do not add up to the balance",
            (meter for meter in windowed if in_windows[meter] != self._balances[meter]),
        )

    def _shown_is_true(self) -> None:
        self._say(
            "shown, but not so",
            (
                f"{meter}: {spend} instead of {self._balances.get(meter, 0)}"
                for meter, spend in self._accounts.shown
                if spend != self._balances.get(meter, 0)
            ),
        )

    def _budgets_hold(self) -> None:
        """A budget may be passed by its last admitted call, and a strict one by none."""
        wrong = []
        for limits, rows in self._limited("max_budget"):
            spend, last = sum(row.cost for row in rows), max(row.cost for row in rows)
            if "budget_duration" not in limits and spend - (0 if limits.get("strict") else last) > _nano(limits):
                wrong.append(f"{rows[0].user_id} {limits}: spent ${spend / NANO:.6f}, the last call ${last / NANO:.6f}")
        self._say("a budget that was passed", wrong)

    def _budgets_of_windows_hold(self) -> None:
        budgets = {f"user:{person.user_id}": _nano(person.limits) for person in self._accounts.people}
        self._say(
            "a budget that was passed in one of its windows",
            (
                f"{meter}@{start}: ${spend / NANO:.6f}"
                for (meter, start), spend in self._windows.items()
                if start != EVER and spend - COST > budgets[meter]
            ),
        )

    def _slots_hold(self) -> None:
        """Calls whose clients stayed to the end are never more at once than slots."""
        wrong = []
        for limits, rows in self._limited("max_parallel_requests"):
            names = {row.name for row in rows}
            stayed = [call for call in self._accounts.served if call.name in names and not call.left]
            if (most := at_once(stayed)) > limits["max_parallel_requests"]:
                wrong.append(f"{rows[0].user_id}: {most} instead of {limits['max_parallel_requests']}")
        self._say("more calls at once than slots", wrong)

    def _limited(self, limit: str) -> Iterator[tuple[dict[str, Any], list[Row]]]:
        """Whoever has such a limit, user or key: all limits, and the rows that count in them."""
        by_user, by_key = _grouped(self._rows, "user_id"), _grouped(self._rows, "key_id")
        for person in self._accounts.people:
            rows = by_user[person.user_id]
            if limit in person.limits and rows:
                yield person.limits, rows
            if limit in person.key_limits:
                yield from ((person.key_limits, by_key[key_id]) for key_id in sorted({row.key_id for row in rows}))


def _is_right(row: Row) -> bool:
    return (row.input_tokens, row.output_tokens, row.cost) == (INPUT_TOKENS, OUTPUT_TOKENS, COST)


def _nano(limits: dict[str, Any]) -> int:
    budget: float = limits.get("max_budget", 0)
    return round(budget * NANO)


def _grouped(rows: Iterable[Row], by: str) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[getattr(row, by)].append(row)
    return groups


def at_once(calls: Iterable[Served]) -> int:
    """The most of them that ran at one moment."""
    moments = sorted(moment for call in calls for moment in ((call.began, 1), (call.ended, -1)))
    return max(itertools.accumulate((step for _, step in moments), initial=0))


def read(database_url: str) -> tuple[list[Row], dict[tuple[str, int], int]]:
    """All rows, and all balances by meter and window, straight from SQL."""
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        rows = [Row(*row) for row in connection.execute(sa.text(ROWS))]
        return rows, {(meter, start): spend for meter, start, spend in connection.execute(sa.text(BALANCES))}


def wait_for_quiet(redis_url: str, seconds: float) -> float:
    """Waits until nothing is in flight any more, but not longer than that; gives how long it took."""
    began = time.monotonic()
    while leftovers(redis_url) and time.monotonic() - began < seconds:
        time.sleep(0.2)
    return time.monotonic() - began
