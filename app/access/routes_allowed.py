"""Which routes a key may use: its key_type, and its allowed_routes where it has any."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from re import Pattern, escape
from re import compile as compile_pattern

from app.access.callers import Caller
from app.errors import RouteNotAllowed

__all__ = ["RouteNotAllowed", "check_model_route", "check_route"]

GROUPS = MODEL_ROUTES, INFO_ROUTES, MANAGEMENT_ROUTES = "llm_api_routes", "info_routes", "management_routes"
# What each key_type may use, as words for groups of routes. "default" keys may use all that their user may.
BY_TYPE = {
    "llm_api": (MODEL_ROUTES,),
    "management": (MANAGEMENT_ROUTES, INFO_ROUTES),
    "read_only": (INFO_ROUTES,),
}
KEY_TYPES = ("default", *BY_TYPE)


def check_model_route(caller: Caller, route: str) -> None:
    """`route` is like "chat/completions". Raises RouteNotAllowed."""
    if caller.key_type != "default" or caller.allowed_routes:
        _check(caller, {MODEL_ROUTES}, (f"/v1/{route}", f"/{route}"))


def check_route(caller: Caller, path: str, *, changes: bool) -> None:
    """An admin route by its path; `changes`: it is no mere reading. Raises RouteNotAllowed."""
    if caller.key_type != "default" or caller.allowed_routes:
        _check(caller, {MANAGEMENT_ROUTES} if changes else {MANAGEMENT_ROUTES, INFO_ROUTES}, (path,))


def covers(own: Iterable[str], entry: str) -> bool:
    """Whether `entry`, a group, path or wildcard, lies in one of `own`."""
    return any(entry == one or _fits(one, entry) for one in own)


def _check(caller: Caller, groups: set[str], paths: Iterable[str]) -> None:
    by_type = BY_TYPE.get(caller.key_type)
    if by_type is not None and groups.isdisjoint(by_type):
        raise RouteNotAllowed(f"This key is of the type {caller.key_type}, which may not use {next(iter(paths))}.")
    entries = caller.allowed_routes
    if entries and not any(entry in groups or _fits(entry, path) for entry in entries for path in paths):
        raise RouteNotAllowed(f"The allowed_routes of this key do not have {next(iter(paths))}.")


def _fits(entry: str, path: str) -> bool:
    return entry == path or ("*" in entry and bool(_wildcard(entry).fullmatch(path)))


@lru_cache(maxsize=4096)
def _wildcard(entry: str) -> Pattern[str]:
    return compile_pattern(".*".join(escape(part) for part in entry.split("*")))
