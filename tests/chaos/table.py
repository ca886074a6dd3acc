"""A report as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from tests.chaos.journey import Happened, Report
from tests.chaos.load import Told

FAULTS_HEAD = ("fault", "times", "answered", "429", "503", "502/504", "cut", "longest answer", "answers again after")


def markdown(report: Report) -> str:
    """A table of faults, a table of the books, and what was wrong."""
    names = sorted({one.fault.name for one in report.happened})
    faults = [_fault(name, report) for name in names]
    books = list(report.facts.items())
    problems = [f"- {problem}" for problem in report.problems] or ["Nothing was wrong."]
    return "\n".join(
        [
            f"{report.database}, seed {report.seed}, {len(report.happened)} faults",
            "",
            *_table(FAULTS_HEAD, faults),
            "",
            *_table(("books", ""), books),
            "",
            *problems,
            "",
            f"In this order: {', '.join(_moment(one, report) for one in report.happened)}.",
        ]
    )


def _moment(one: Happened, report: Report) -> str:
    start = min((call.began for call in report.told), default=one.began)
    return f"{one.fault.name} ({one.began - start:.1f} to {one.ended - start:.1f} s)"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def _fault(name: str, report: Report) -> list[str]:
    happened = [one for one in report.happened if one.fault.name == name]
    met = [call for call in report.told if any(one.sees_the_end_of(call) for one in happened)]
    kinds = Counter(_kind(call) for call in met)
    longest = max((call.ended - call.began for call in met), default=0)
    again = max(one.answered_again(report.told) for one in happened)
    counts = [str(kinds[kind]) for kind in ("200", "429", "503", "50x", "cut")]
    return [name, str(len(happened)), *counts, f"{longest:.1f} s", f"{again:.1f} s"]


def _kind(call: Told) -> str:
    if call.what.startswith("429"):
        return "429"
    if call.what.startswith(("502", "504")):
        return "50x"
    return "cut" if call.what == "ended without [DONE]" else call.what
