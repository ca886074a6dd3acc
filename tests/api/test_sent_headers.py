"""A request's headers out of its environ, as werkzeug reads them."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import EnvironHeaders
from werkzeug.test import EnvironBuilder

from app.api.sent_headers import SentHeaders

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,12}", fullmatch=True) | st.sampled_from(["Content-Type", "Accept"])
VALUES = st.text("abc =;,/1é", min_size=1, max_size=12).map(str.strip)


def environ(headers: dict[str, str]) -> dict[str, Any]:
    return EnvironBuilder(method="POST", headers=list(headers.items()), data=b"{}").get_environ()


@given(st.dictionaries(NAMES, VALUES, max_size=6))
def test_every_header_is_found_by_name_in_any_case_as_werkzeug_finds_it(headers: dict[str, str]) -> None:
    asked = environ(headers)
    ours, theirs = SentHeaders(asked), EnvironHeaders(asked)
    for name in (*headers, "x-not-sent"):
        assert ours.get(name.upper()) == ours.get(name.lower()) == theirs.get(name)


@given(st.dictionaries(NAMES, VALUES, max_size=6))
def test_going_through_them_gives_each_once_in_lower_case(headers: dict[str, str]) -> None:
    asked = environ(headers)
    ours, theirs = SentHeaders(asked), EnvironHeaders(asked)
    assert {name: ours[name] for name in ours} == {name.lower(): value for name, value in theirs}
    assert len(ours) == len(list(ours))


def test_what_is_no_header_is_none() -> None:
    assert "request-method" not in SentHeaders(environ({}))
    assert "method" not in set(SentHeaders(environ({})))
