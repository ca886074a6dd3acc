"""The picture for the README: bars in proportion, text that stays text, light and dark."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from benchmarks import picture

SVG = "{http://www.w3.org/2000/svg}"


def found(**systems: dict[str, float]) -> dict[str, Any]:
    told = {name: {"median": median, "invalid": {}} for name, median in systems.items()}
    return {"calls": {"machine": "2 cores & <more>", "rounds": 3, "systems": told}}


def widths(text: str) -> list[float]:
    return [float(bar.attrib["width"]) for bar in ET.fromstring(text).iter(f"{SVG}rect")]


def words(text: str) -> list[str]:
    return [str(each.text) for each in ET.fromstring(text).iter(f"{SVG}text")]


def test_bars_are_as_long_as_their_figures() -> None:
    ours, theirs = widths(picture.drawn(found(Tollgate={"cpu_us": 300.0}, LiteLLM={"cpu_us": 7500.0})))
    assert theirs / ours == pytest.approx(25, rel=0.01)


def test_the_longest_bar_and_its_figure_fit_into_the_picture() -> None:
    assert max(widths(picture.drawn(found(LiteLLM={"cpu_us": 7500.0})))) <= picture.WIDTH - picture.NAME - picture.VALUE


def test_a_tiny_figure_still_has_a_bar_that_is_seen() -> None:
    assert min(widths(picture.drawn(found(nginx={"cpu_us": 0.001}, LiteLLM={"cpu_us": 7500.0})))) == picture.SHORTEST


def test_each_bar_has_its_name_and_its_figure() -> None:
    assert {"LiteLLM", "7,500"} <= set(words(picture.drawn(found(LiteLLM={"cpu_us": 7500.0}))))


def test_a_figure_that_was_not_measured_has_no_bar() -> None:
    drawn = picture.drawn(found(Tollgate={"cpu_us": 300.0, "event_us": 25.0}, LiteLLM={"cpu_us": 7500.0}))
    assert len(widths(drawn)) == 3


def test_what_nobody_measured_has_no_chart() -> None:
    assert "streamed event" not in picture.drawn(found(Tollgate={"cpu_us": 300.0}))


def test_the_machine_stands_below_with_its_signs_as_they_are() -> None:
    assert "2 cores & <more>; medians of 3 rounds, all in one run" in words(picture.drawn(found()))


def test_no_two_bars_overlap_and_all_lie_inside() -> None:
    both = {"cpu_us": 300.0, "event_us": 25.0}
    root = ET.fromstring(picture.drawn(found(Tollgate=both, LiteLLM=both)))
    tops = [float(bar.attrib["y"]) for bar in root.iter(f"{SVG}rect")]
    assert all(later - earlier >= picture.BAR for earlier, later in pairwise(tops))
    assert tops[-1] + picture.BAR < float(root.attrib["height"])


def test_a_dark_page_has_colours_of_its_own() -> None:
    assert "prefers-color-scheme: dark" in picture.drawn(found())
