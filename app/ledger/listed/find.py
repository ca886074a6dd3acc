"""Which model of the price list a name means.

The list is a file with one line of JSON for each provider and, after it, for each of its models. Lines are read when a
model is looked for and forgotten again: as objects, all of them would take nine times as much memory as the file, and a
process asks for the few models that it serves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from app.ledger.listed.model import Model

LIST = Path(__file__).with_name("prices.jsonl")
# A name may come by way of LiteLLM, with its provider in front.
BY_WAY = "litellm"
# A day at the end of a name or of a part of it: "gpt-5.2-20251211".
DAY = re.compile(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")

# {"equals": "gpt-4o"} with a clause's name, or {"or": [rule, …]} and "and". Texts are lower case, as names are here.
Rule = dict[str, Any]
CLAUSES: dict[str, Callable[[str, str], bool]] = {
    "equals": str.__eq__,
    "contains": str.__contains__,
    "starts_with": str.startswith,
    "ends_with": str.endswith,
    "regex": lambda text, pattern: re.search(pattern, text) is not None,
}


class _Provider(NamedTuple):
    """A provider of the list: the rules for its own name and for names of models that mean it, and whose it borrows."""

    id: str
    named: Rule | None
    meant: Rule | None
    borrows: list[str]
    models: bytes


class _List(NamedTuple):
    source: str
    providers: list[_Provider]


@lru_cache(maxsize=1_000)
def listed_model(provider: str | None, model: str) -> Model | None:
    """The list's entry of a model; None where there is none. Without a provider the model's name says which."""
    name = model.lower()
    if provider is not None and provider.lower() == BY_WAY:
        before, slash, rest = name.partition("/")
        provider, name = (before, rest) if slash and before and _by_id(before) else (None, name)
    found = _by_model(name) if provider is None else _by_id(provider)
    if found is None:
        return None
    dashed = DAY.sub(_dashed, name)
    return _of(found, name) or (None if dashed == name else _of(found, dashed))


def all_models() -> Iterator[Model]:
    """Every model of every provider."""
    for provider in _list().providers:
        for line in provider.models.splitlines():
            yield _model(provider.id, orjson.loads(line), own=True)


def list_source() -> str:
    """Where the list is from: "genai-prices 0.2.3"."""
    return _list().source


@cache
def _list() -> _List:
    head, *rest = LIST.read_bytes().split(b"\n{")
    providers = []
    for one in rest:
        rules, _, models = one.partition(b"\n")
        providers.append(_Provider(**orjson.loads(b"{" + rules), models=models))
    made_from = orjson.loads(head)
    return _List(f"{made_from['from']} {made_from['version']}", providers)


def _by_id(provider: str) -> _Provider | None:
    name, providers = provider.lower().strip(), _list().providers
    exact = (one for one in providers if one.id == name)
    alike = (one for one in providers if one.named is not None and _fits(one.named, name))
    return next(exact, None) or next(alike, None)


def _by_model(name: str) -> _Provider | None:
    return next((one for one in _list().providers if one.meant is not None and _fits(one.meant, name)), None)


def _of(provider: _Provider, name: str) -> Model | None:
    """The provider's first model that goes by that name, else the first of those whose lists it borrows."""
    lenders = (one for lender in provider.borrows for one in _list().providers if one.id == lender)
    for one in (provider, *lenders):
        for line in one.models.splitlines():
            written = orjson.loads(line)
            if _fits(written[1], name):
                return _model(provider.id, written, own=one is provider)
    return None


def _model(provider: str, written: list[Any], *, own: bool) -> Model:
    name, _, window, prices, in_tiers = written
    return Model(provider, own, name, window, prices, in_tiers)


def _fits(rule: Rule, text: str) -> bool:
    [(clause, wanted)] = rule.items()
    if clause in CLAUSES:
        return CLAUSES[clause](text, wanted)
    parts = (_fits(one, text) for one in wanted)
    return any(parts) if clause == "or" else all(parts)


def _dashed(day: re.Match[str]) -> str:
    """("-20251211") -> "-2025-12-11", which is how the list has it; what is no day stays as it is."""
    try:
        return f"-{date(*map(int, day.groups()))}"
    except ValueError:
        return day[0]
