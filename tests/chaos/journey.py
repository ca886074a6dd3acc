"""One journey: load, faults one after another, quiet, books."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf

import requests

from tests.chaos.books import Accounts, Books, Served, read, wait_for_quiet
from tests.chaos.counters import leftovers
from tests.chaos.faults import Fault
from tests.chaos.load import LONGEST_ANSWER, OUR_REFUSALS, Load, Told
from tests.chaos.models import FAILURES
from tests.chaos.people import People
from tests.chaos.world import World, world
from tests.services.short_lease import SECONDS as LEASE_SECONDS

CLIENTS = 27
# Between two faults everything has time to come back, so that each fault is a single one.
CALM_SECONDS = (2.0, 4.0)
# What a fault may do to calls that were running when it ended.
AFTERMATH_SECONDS = 2.0
SERVED_EVERY_SECONDS = 10.0
# After that long the calls of a dead process are booked: the sweeper looks every five seconds.
ORPHANS_SECONDS = LEASE_SECONDS + 6
# From the mending of a part to the end of the first good answer, which itself may take four seconds.
LONGEST_RECOVERY = 8.0
# What callers may be told at any time.
ALLOWED = {"200", "left", *OUR_REFUSALS, *FAILURES}


@dataclass(frozen=True)
class Happened:
    """A fault from its first moment to the one at which the part was mended."""

    fault: Fault
    began: float
    ended: float

    def meets(self, call: Told) -> bool:
        """Whether the call may have suffered from it."""
        return call.began < self.ended + AFTERMATH_SECONDS and call.ended > self.began

    def sees_the_end_of(self, call: Told) -> bool:
        """As `meets`, but at most one fault does this for a call."""
        return self.began < call.ended < self.ended + AFTERMATH_SECONDS

    def answered_again(self, told: Sequence[Told]) -> float:
        """Seconds from the mending to the end of the first call that began after it and was answered."""
        return (
            min((call.ended for call in told if call.what == "200" and call.began > self.ended), default=inf)
            - self.ended
        )


@dataclass
class Report:
    """What was done, what callers were told, and all that was wrong."""

    database: str
    seed: int
    happened: list[Happened] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def journey(database: str, seed: int, seconds: float, faults: Sequence[Fault]) -> Report:
    """Faults in a random order, all of them before any of them again, until the time is over."""
    report = Report(database, seed)
    with world(database) as running, People(running.stack.urls, running.stack.master_key) as people:
        with listening(running.provider_url) as served, Load(running.stack.urls, people, CLIENTS, seed) as load:
            report.told = load.told
            break_one_after_another(running, load, report, seconds, faults)
            time.sleep(CALM_SECONDS[1])
        report.facts["quiet after"] = f"{wait_for_quiet(running.valkey.url, LEASE_SECONDS + 20):.1f} s"
        served += take(running.provider_url)
        rows, windows = read(running.database_url)
        left = leftovers(running.valkey.url)
        accounts = Accounts(people.made, report.told, served, rows, windows, people.shown(), left)
        books = Books(accounts)
        books.check()
        report.facts |= accounts.facts()
        report.problems = unexpected(report.told, report.happened) + people.troubles + books.problems
    return report


def break_one_after_another(
    running: World, load: Load, report: Report, seconds: float, faults: Sequence[Fault]
) -> None:
    """Processes are started by the main thread only: they end with the thread that started them."""
    chance = random.Random(report.seed)
    ends, rest = time.monotonic() + seconds, list[Fault]()
    while time.monotonic() < ends:
        time.sleep(chance.uniform(*CALM_SECONDS))
        if not rest:
            rest = chance.sample(faults, len(faults))
        fault = rest.pop()
        if fault.forgets:
            wait_for_orphans(report.happened)
        began = time.time()
        fault.act(running, load, chance)
        report.happened.append(Happened(fault, began, time.time()))


def wait_for_orphans(happened: Sequence[Happened]) -> None:
    """A killed process and lost data within one lease are two faults, not one: such a call nobody knows any more."""
    killed = max((one.ended for one in happened if one.fault.orphans), default=0)
    time.sleep(max(0, killed + ORPHANS_SECONDS - time.time()))


@contextmanager
def listening(provider_url: str) -> Iterator[list[Served]]:
    """Asks the provider from time to time what it has served, so that it need not remember everything."""
    served: list[Served] = []
    over = threading.Event()

    def listen() -> None:
        while not over.wait(SERVED_EVERY_SECONDS):
            served.extend(take(provider_url))

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        yield served
    finally:
        over.set()
        thread.join()


def take(provider_url: str) -> list[Served]:
    with requests.Session() as session:
        session.trust_env = False
        calls = session.post(f"{provider_url}/__take", timeout=LONGEST_ANSWER).json()
    return [Served(call["user"], call["left"], call["began"], call["ended"]) for call in calls]


def unexpected(told: Sequence[Told], happened: Sequence[Happened]) -> list[str]:
    """Answers that nobody may get, by what they were and what was broken at the time."""
    wrong: Counter[str] = Counter()
    for call in told:
        if call.what in ALLOWED:
            continue
        met = [one.fault for one in happened if one.meets(call)]
        if not any(call.what in fault.noticed for fault in met):
            names = " and ".join(sorted({fault.name for fault in met})) or "in calm"
            wrong[f"a caller was told '{call.what}' ({names})"] += 1
    for one in happened:
        if (seconds := one.answered_again(told)) > LONGEST_RECOVERY:
            wrong[f"nobody was answered for {seconds:.1f} s after '{one.fault.name}'"] += 1
    return [f"{what}: {number} times" for what, number in wrong.most_common()]
