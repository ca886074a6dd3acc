"""`python -m benchmarks.picture`: the last results as an SVG of bars, benchmarks/picture.svg, for the README.

Written by hand, so that it needs nothing; readable on a light page and on a dark one.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.table import OURS, figure

FILE = Path(__file__).parent / "picture.svg"
# The name of the figure, its section in the results, what stands above it.
PANELS = [
    ("cpu_us", "calls", "CPU per call, µs (less is better)"),
    ("per_core", "calls", "calls per second of CPU (more is better)"),
    ("event_us", "calls", "CPU per streamed event, µs (less is better)"),
    ("memory_mb", "start", "idle memory of all processes, MB (less is better)"),
    ("start_seconds", "start", "start to the first answered call, s (less is better)"),
]
WIDTH, NAME, VALUE = 720, 96, 72
BAR, GAP, TITLE, AFTER = 18, 6, 26, 16
LONGEST = WIDTH - NAME - VALUE
# Below a pixel and a half nobody sees a bar.
SHORTEST = 1.5
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; }
.foot { font-size: 11px; fill: #59636e; }
.ours { fill: #1a7f64; }
.peer { fill: #afb8c1; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .foot { fill: #9198a1; }
  .ours { fill: #3fb68b; }
  .peer { fill: #57606a; }
}
"""


def main() -> None:
    """The command."""
    FILE.write_text(drawn(results.read()), encoding="utf-8")
    results.say(f"wrote {FILE.name}")


def drawn(found: dict[str, Any]) -> str:
    """The whole picture. A figure that is not valid, or was not measured, has no bar."""
    lines: list[str] = []
    height: float = AFTER
    for name, section, title in PANELS:
        if bars := figures(found.get(section, {}), name):
            panel, height = _panel(title, bars, height)
            lines += panel
    foot = escape(_foot(found.get("calls", {})))
    lines.append(f'<text class="foot" x="0" y="{height + 12:g}">{foot}</text>')
    height += 24
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}"'
    )
    head += ' role="img" aria-label="Tollgate beside its peers">'
    return "\n".join([head, f"<style>{STYLE}</style>", *lines, "</svg>", ""])


def figures(section: dict[str, Any], name: str) -> dict[str, float]:
    """The medians by system."""
    systems: dict[str, Any] = section.get("systems", {})
    values = {system: told["median"].get(name) for system, told in systems.items()}
    return {system: value for system, value in values.items() if value}


def _panel(title: str, bars: dict[str, float], top: float) -> tuple[list[str], float]:
    """One chart, and where the next begins."""
    lines = [f'<text class="title" x="0" y="{top + 12}">{escape(title)}</text>']
    top += TITLE
    most = max(bars.values())
    for system, value in bars.items():
        length = max(SHORTEST, LONGEST * value / most)
        kind = "ours" if system == OURS else "peer"
        middle = top + BAR / 2 + 4.5
        lines.append(f'<text x="0" y="{middle:g}">{escape(system)}</text>')
        lines.append(f'<rect class="{kind}" x="{NAME}" y="{top:g}" width="{length:.1f}" height="{BAR}" rx="2"/>')
        lines.append(f'<text x="{NAME + length + 6:.1f}" y="{middle:g}">{figure(value)}</text>')
        top += BAR + GAP
    return lines, top + AFTER


def _foot(section: dict[str, Any]) -> str:
    if not section:
        return ""
    return f"{section['machine']}; medians of {section['rounds']} rounds, all in one run"


if __name__ == "__main__":
    main()
