"""The tables that `make bench` prints: a column for each system, and LiteLLM's figures by ours."""

from __future__ import annotations

from typing import Any

from benchmarks.figures import ratio

OURS, THEIRS = "Tollgate", "LiteLLM"
# Above this share of the machine for others, figures are not to be published.
NOISY = 0.1
CALLS = {
    "cpu_us": "CPU of the gateway per call, µs",
    "worker_us": "… of which its worker, µs",
    "per_core": "calls per second of CPU",
    "calls_per_second": "calls per second, 64 connections, gateway on one core",
    "added_p50_ms": "added latency at half load, p50, ms",
    "added_p99_ms": "added latency at half load, p99, ms",
    "half_rate": "… half load, calls per second",
    "direct_p50_ms": "… a direct call at that rate, p50, ms",
    "direct_p99_ms": "… a direct call at that rate, p99, ms",
    "event_us": "CPU per streamed event, µs",
    "Redis_us": "CPU of Redis beside it, per call, µs",
    "SQL_us": "CPU of SQL beside it, per call, µs",
}
START = {
    "start_seconds": "start to the first answered call, s",
    "again_seconds": "… of a second start, s",
    "memory_mb": "idle memory of all processes, MB (PSS)",
    "web_mb": "… web",
    "worker_mb": "… worker",
    "Valkey_mb": "… embedded Valkey",
    "supervisor_mb": "… supervisor",
}


def written(results: dict[str, Any]) -> str:
    """As Markdown: every section that there is."""
    parts = {"calls": calls, "start": start, "held": held}
    return "\n\n".join(part(results[name]) for name, part in parts.items() if name in results)


def calls(section: dict[str, Any]) -> str:
    """CPU, throughput, latencies, events."""
    foot = (
        f"{section['machine']}; medians of {section['rounds']} rounds of {section['seconds']:g} s; {section['cores']}."
    )
    if section["strangers"] > NOISY:
        foot += f" Others took {section['strangers']:.0%} of the machine meanwhile: not to be published."
    return _table(section, CALLS, foot)


def start(section: dict[str, Any]) -> str:
    """Seconds and memory."""
    foot = f"{section['machine']}; medians of {section['rounds']} starts."
    return _table(section, START, foot + _warning(section["strangers"]))


def held(section: dict[str, Any]) -> str:
    """A row for each system and number of streams."""
    strangers = 0.0
    lines = [_line(["streams of 10 s held open", "", "first byte p99, ms", "memory a stream, KB", "of a core"])]
    lines.append(_line(["---"] * 5))
    for name, numbers in section["systems"].items():
        for number, one in numbers.items():
            if why := one.get("invalid"):
                cells = [f"not valid: {why}", "", ""]
            else:
                cells = [figure(one["first_byte_p99_ms"]), figure(one["kb_a_stream"]), f"{one['cpu_share']:.0%}"]
                strangers = max(strangers, one["strangers"])
            lines.append(_line([f"{int(number):,}", name, *cells]))
    return "\n".join([*lines, "", f"{section['machine']}; {section['cores']}.{_warning(strangers)}"])


def figure(value: float | None) -> str:
    """Three digits are enough."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004 - as the sentence says


def _warning(strangers: float) -> str:
    """For the foot, where others have used much of the machine."""
    if strangers <= NOISY:
        return ""
    return f" Others took {strangers:.0%} of the machine meanwhile: not to be published."


def _table(section: dict[str, Any], rows: dict[str, str], foot: str) -> str:
    systems: dict[str, dict[str, dict[str, Any]]] = section["systems"]
    both = OURS in systems and THEIRS in systems
    head = ["", *systems, *([f"{THEIRS} : {OURS}"] if both else [])]
    lines = [_line(head), _line(["---"] * len(head))]
    notes: list[str] = []
    for name, label in rows.items():
        if any(name in told["median"] or name in told["invalid"] for told in systems.values()):
            cells = [_cell(told, name, notes, system) for system, told in systems.items()]
            lines.append(_line([label, *cells, *([_ratio(systems, name)] if both else [])]))
    return "\n".join([*lines, "", foot, *(f"{number}. {note}" for number, note in enumerate(notes, 1))])


def _cell(told: dict[str, dict[str, Any]], name: str, notes: list[str], system: str) -> str:
    """A figure; "≥" where the load was at its end before the system; or the number of the note that says why not."""
    if why := told["invalid"].get(name):
        note = f"{system}: {why}"
        if note not in notes:
            notes.append(note)
        return f"not valid ({notes.index(note) + 1})"
    at_least = name == "calls_per_second" and told["median"].get("limited")
    return f"≥ {figure(told['median'][name])}" if at_least else figure(told["median"].get(name))


def _ratio(systems: dict[str, dict[str, dict[str, Any]]], name: str) -> str:
    if name == "half_rate" or name.startswith("direct_"):
        return ""
    return ratio(systems[THEIRS]["median"].get(name), systems[OURS]["median"].get(name))


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
