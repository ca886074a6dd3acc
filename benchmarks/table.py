"""The table that `make bench` prints: a column for each system, and LiteLLM's figures by ours."""

from __future__ import annotations

from typing import Any

OURS, THEIRS = "Tollgate", "LiteLLM"
ROWS = {
    "cpu_us": "CPU per call, µs",
    "per_core": "calls per second of CPU",
    "calls_per_second": "calls per second, 64 connections",
    "p50_ms": "latency at half load, p50, ms",
    "p99_ms": "latency at half load, p99, ms",
    "event_us": "CPU per streamed event, µs",
    "Valkey_us": "of Valkey beside it, per call, µs",
    "PostgreSQL_us": "of PostgreSQL beside it, per call, µs",
    "memory_mb": "memory, MB (PSS)",
    "failed": "failed calls",
}


def written(results: dict[str, Any]) -> str:
    """As Markdown."""
    systems: dict[str, dict[str, float]] = results["systems"]
    both = OURS in systems and THEIRS in systems
    head = ["", *systems, *([f"{THEIRS} : {OURS}"] if both else [])]
    lines = [_line(head), _line(["---"] * len(head))]
    for name, label in ROWS.items():
        if any(name in found for found in systems.values()):
            cells = [_figure(found.get(name)) for found in systems.values()]
            lines.append(_line([label, *cells, *([_ratio(systems, name)] if both else [])]))
    return "\n".join((f"{results['machine']}; medians of {results['rounds']} rounds", "", *lines))


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits are enough


def _ratio(systems: dict[str, dict[str, float]], name: str) -> str:
    ours, theirs = systems[OURS].get(name), systems[THEIRS].get(name)
    if not ours or theirs is None or name == "failed":
        return ""
    return f"{theirs / ours:.1f}" if theirs >= ours else f"1 : {ours / theirs:.1f}"
