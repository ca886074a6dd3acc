"""A grant is never more than its grantor has, whatever is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import durations
from app.access import rights, routes_allowed
from app.access.callers import Caller
from app.access.models_allowed import allows
from app.access.rights import ROLES, VIEWERS, Rights
from app.errors import NotAllowed, RouteNotAllowed
from app.models import LIMIT_NAMES, VirtualKey, now

MODELS = ["gpt-4o", "gpt-4o-mini", "openai/gpt-4o", "claude", "beta-models"]
ENTRIES = [*MODELS, "gpt-*", "gpt-4*", "*", "openai/*", "no-default-models", "all-proxy-models", "all-team-models"]
PATHS = ["/key/info", "/key/generate", "/spend/logs", "/v1/chat/completions", "/embeddings", "/limits/explain"]
ROUTES = [*routes_allowed.GROUPS, *PATHS, "/key/*", "/*", "/v1/*", "/key/in*"]
TYPES = list(routes_allowed.KEY_TYPES)
DURATIONS = [None, "1h", "1d", "30d"]
LIMITS: dict[str, Any] = {"max_budget": 5, "rpm_limit": 1, "strict": True, "max_parallel_requests": 0, "tpm_limit": 9}

KEYS = st.fixed_dictionaries(
    {
        "models": st.lists(st.sampled_from(ENTRIES), max_size=3),
        "allowed_routes": st.lists(st.sampled_from(ROUTES), max_size=3),
        "key_type": st.sampled_from(TYPES),
        "expires": st.sampled_from([None, now() + timedelta(days=2)]),
        "team_id": st.sampled_from([None, "blue", "red"]),
        "limits": st.dictionaries(st.sampled_from(list(LIMITS)), st.none(), max_size=1),
    }
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "models": st.none() | st.lists(st.sampled_from(ENTRIES), max_size=3),
        "allowed_routes": st.none() | st.lists(st.sampled_from(ROUTES), max_size=3),
        "key_type": st.none() | st.sampled_from(TYPES),
        "duration": st.sampled_from(DURATIONS),
        "team_id": st.sampled_from([None, "blue", "red", "green"]),
        "user_id": st.sampled_from([None, "ada", "bob"]),
        "max_budget": st.sampled_from([None, 0, 100]),
        "budget_id": st.sampled_from([None, "gold"]),
        "model_limits": st.sampled_from([None, {"gpt-4o": {"rpm_limit": 9}}]),
        "blocked": st.booleans(),
    },
)


@pytest.fixture(autouse=True, scope="module")
def everybody_is_a_member() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rights, "is_member", lambda _team, _user: True)
        yield


TEAMS = {"blue": "user", "red": "admin"}


def key_of(given: dict[str, Any]) -> VirtualKey:
    columns = {name: value for name, value in given.items() if name != "limits"}
    limits = {name: LIMITS[name] for name in given["limits"]}
    return VirtualKey(id="k", token="0" * 64, user_id="ada", model_limits={}, **columns, **limits)


def rights_of(key: VirtualKey, role: str = "internal_user") -> Rights:
    caller = Caller(key_id="k", token=key.token, user_id=key.user_id, role=role)
    return Rights(caller, key, TEAMS)


def granted_key(fields: dict[str, Any]) -> dict[str, Any]:
    """What a new key of these fields is."""
    duration = fields.get("duration")
    return {
        "models": fields.get("models") or [],
        "allowed_routes": fields.get("allowed_routes") or [],
        "key_type": fields.get("key_type") or "default",
        "expires": None if duration is None else now() + timedelta(seconds=durations.seconds(duration, now())),
    }


def may_call(key: Any, model: str) -> bool:
    return allows(key["models"], model, frozenset({"beta-models"}) if model == "claude" else frozenset())


def may_use(key: Any, path: str) -> bool:
    caller = Caller("k", "t", key_type=key["key_type"], allowed_routes=tuple(key["allowed_routes"]))
    try:
        if path.endswith(("completions", "embeddings")):
            routes_allowed.check_model_route(caller, path.removeprefix("/v1").removeprefix("/"))
        else:
            routes_allowed.check_route(caller, path, changes=path.endswith("generate"))
    except RouteNotAllowed:
        return False
    return True


@given(KEYS, FIELDS)
def test_no_new_key_may_more_than_the_one_that_made_it(own: dict[str, Any], fields: dict[str, Any]) -> None:
    key = key_of(own)
    try:
        granted = rights_of(key).check_grant(None, fields)
    except NotAllowed:
        return
    new = granted_key(granted)
    assert [model for model in MODELS if may_call(new, model) and not may_call(own, model)] == []
    assert [path for path in PATHS if may_use(new, path) and not may_use(own, path)] == []
    assert own["expires"] is None or (new["expires"] is not None and new["expires"] <= own["expires"])
    assert not own["limits"]
    assert granted["user_id"] == "ada" or granted.get("team_id") == "red"
    assert granted.get("team_id") is None or granted["team_id"] in TEAMS
    assert own["team_id"] in (None, granted.get("team_id"))


@given(KEYS, KEYS, FIELDS)
def test_no_change_gives_a_key_more_than_the_one_that_changes_it(
    own: dict[str, Any], other: dict[str, Any], fields: dict[str, Any]
) -> None:
    row = key_of(other)
    try:
        granted = rights_of(key_of(own)).check_grant(row, fields)
    except NotAllowed:
        return
    after = {**other, **{name: value for name, value in granted_key(granted).items() if name in granted}}
    gained = [model for model in MODELS if may_call(after, model) and not may_call(other, model)]
    assert [model for model in gained if not may_call(own, model)] == []
    paths = [path for path in PATHS if may_use(after, path) and not may_use(other, path)]
    assert [path for path in paths if not may_use(own, path)] == []
    if own["limits"]:
        assert not {*LIMIT_NAMES, "budget_id", "model_limits"} & set(granted)
    assert granted.get("blocked") is not False


@pytest.mark.parametrize("role", sorted(VIEWERS))
def test_who_only_reads_grants_nothing(role: str) -> None:
    key = VirtualKey(id="k", token="0" * 64, user_id="ada", models=[], model_limits={}, allowed_routes=[])
    with pytest.raises(NotAllowed, match="changes nothing"):
        rights_of(key, role).check_grant(None, {})


def test_a_key_that_is_nobodys_grants_nothing() -> None:
    key = VirtualKey(id="k", token="0" * 64, models=[], model_limits={}, allowed_routes=[])
    with pytest.raises(NotAllowed, match="belongs to no user"):
        rights_of(key).check_grant(None, {})


def test_every_role_is_described() -> None:
    assert set(ROLES) == {"proxy_admin", "proxy_admin_viewer", "internal_user", "internal_user_viewer"}
