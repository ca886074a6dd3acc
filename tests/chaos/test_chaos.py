"""The chaos journey in its short form; `python -m tests.chaos` is the long one, with all faults."""

from __future__ import annotations

import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.journey import journey
from tests.chaos.table import markdown

SECONDS = 22
SEED = 1
SHORT = {
    "sqlite": ("web killed", "Valkey killed, data gone", "worker child killed", "Valkey frozen", "clients cut"),
    "postgresql": ("PostgreSQL killed", "web child killed", "Valkey killed", "PostgreSQL frozen", "worker killed"),
}


@pytest.mark.parametrize("database", SHORT)
def test_whatever_dies_under_load_the_books_are_right_afterwards(database: str) -> None:
    faults = [fault for fault in FAULTS if fault.name in SHORT[database]]
    report = journey(database, SEED, SECONDS, faults)
    assert report.problems == [], markdown(report)
