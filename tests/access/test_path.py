"""What a meter is set to: its own values, its template's, its team's; raises and credit while they last."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from app.access import callers, path
from app.access.path import Limits
from app.durations import Schedule
from app.extensions import db, write_transaction
from app.models import Budget, Credit, Customer, Team, TeamMember, User, VirtualKey, now

BEGAN = datetime(2026, 11, 2, tzinfo=UTC)
DAY = 86_400
IN_FIRST, IN_SECOND = BEGAN.timestamp() + 60, BEGAN.timestamp() + DAY + 60


@pytest.fixture(autouse=True)
def application(gateway_app: Flask) -> Iterator[None]:
    with gateway_app.app_context():
        yield


def stored(*rows: Any) -> None:
    for row in rows:
        with write_transaction() as session:
            session.add(row)


def limits_of(row: Any) -> Limits:
    found = path.limits_of(db.session(), [db.session.merge(row)])
    db.session.rollback()
    return found[path.meter_of(row)]


def daily(**values: Any) -> Limits:
    return Limits("user:ada", schedule=Schedule("24h", BEGAN), **values)


def test_what_a_meter_says_itself_goes_before_its_template() -> None:
    stored(Budget(budget_id="free", max_budget=5, rpm_limit=7, tpm_limit=9))
    limits = limits_of(User(user_id="ada", created_at=BEGAN, budget_id="free", rpm_limit=1))
    assert (limits.max_budget, limits.rpm, limits.tpm) == (5, 1, 9)


@pytest.mark.parametrize(("own", "template"), [(True, False), (False, True)])
def test_a_budget_is_strict_where_either_says_so(own: bool, template: bool) -> None:  # noqa: FBT001
    stored(Budget(budget_id="free", max_budget=5, strict=template))
    assert limits_of(Customer(customer_id="c", created_at=BEGAN, budget_id="free", strict=own)).strict


def test_a_member_without_limits_has_those_that_its_team_says_for_members() -> None:
    stored(Team(team_id="t", member_limits={"max_budget": 3, "rpm_limit": 4}), User(user_id="ada"))
    limits = limits_of(TeamMember(team_id="t", user_id="ada", created_at=BEGAN, rpm_limit=1))
    assert (limits.max_budget, limits.rpm) == (3, 1)


def test_somebody_with_a_teams_key_who_is_no_member_has_them_too() -> None:
    stored(Team(team_id="t", member_limits={"max_budget": 3}), User(user_id="ada"))
    name = "team_member:t/ada"
    assert path.limits_by_meter(db.session(), [name])[name].max_budget == 3


def test_a_temporary_raise_counts_until_its_second() -> None:
    limits = daily(max_budget=10, raised_by=5, raised_until=IN_FIRST)
    assert (limits.budget(IN_FIRST - 1), limits.budget(IN_FIRST)) == (15, 10)


def test_credit_counts_in_its_window_alone() -> None:
    limits = daily(max_budget=10, credit=5, credit_window=int(BEGAN.timestamp()))
    assert (limits.budget(IN_FIRST), limits.budget(IN_SECOND)) == (15, 10)


def test_several_credits_of_a_window_add_up() -> None:
    user = User(user_id="ada", created_at=now(), max_budget=10, budget_duration="30d")
    window = int(user.created_at.timestamp())
    stored(*(Credit(id=name, meter="user:ada", window_start=window, amount=2) for name in ("a", "b")))
    assert limits_of(user).budget(now().timestamp()) == 14


@pytest.mark.parametrize(("spent_before", "budget"), [(0, 20), (4, 16), (10, 10), (25, 10)])
def test_what_a_window_left_is_added_to_the_next_at_most_one_budget(spent_before: int, budget: int) -> None:
    limits = daily(max_budget=10, rollover=True)
    spends = {int(BEGAN.timestamp()): spent_before, int(BEGAN.timestamp()) + DAY: 0}
    assert limits.spendable(IN_SECOND, spends) == budget


def test_nothing_rolls_over_into_the_first_window() -> None:
    assert daily(max_budget=10, rollover=True).previous(IN_FIRST) is None


def test_a_raise_for_a_while_does_not_roll_over() -> None:
    limits = daily(max_budget=10, rollover=True, raised_by=5, raised_until=IN_FIRST)
    assert limits.spendable(IN_SECOND, dict.fromkeys(limits.starts(IN_SECOND), 0)) == 20


def test_limits_of_models_hang_on_the_key_and_are_found_by_their_meters() -> None:
    stored(VirtualKey(id="k", token="0" * 64, key_name="sk-...k", model_limits={"gpt-*": {"rpm_limit": 2}}))
    found = path.limits_by_meter(db.session(), ["key_model:k/gpt-*", "key:k", "key:gone"])
    assert {meter: limits.rpm for meter, limits in found.items()} == {"key_model:k/gpt-*": 2, "key:k": None}


def test_a_caller_has_the_limits_of_the_models_that_fit_a_call() -> None:
    models = {"gpt-*": {"rpm_limit": 2}, "beta-models": {"rpm_limit": 3}, "other": {"rpm_limit": 4}}
    token = callers.hash_token("sk-of-somebody-who-calls")
    stored(VirtualKey(id="k", token=token, key_name="sk-...alls", model_limits=models))
    caller = callers.of_key(token)
    found = [limits.meter for limits in caller.limits_for("gpt-4o", frozenset({"beta-models"}))]
    assert found == ["key:k", "key_model:k/gpt-*", "key_model:k/beta-models", "gateway"]


def test_a_path_has_its_meters_in_the_order_in_which_refusals_are_told() -> None:
    token = callers.hash_token("sk-of-somebody-who-calls")
    stored(Team(team_id="t"), User(user_id="ada", model_limits={"m": {"rpm_limit": 1}}))
    stored(TeamMember(team_id="t", user_id="ada"))
    key = VirtualKey(id="k", token=token, key_name="sk-...alls", user_id="ada", team_id="t")
    key.model_limits = {"m": {"rpm_limit": 1}}
    stored(key)
    meters = [limits.meter for limits in callers.of_key(token).limits_for("m", frozenset())]
    assert meters == [
        *("key:k", "key_model:k/m", "user:ada", "user_model:ada/m", "team_member:t/ada", "team:t", "gateway"),
    ]


def test_a_temporary_raise_is_read_from_the_row() -> None:
    until = now() + timedelta(hours=1)
    user = User(user_id="ada", created_at=BEGAN, max_budget=10, temp_budget_increase=5, temp_budget_expiry=until)
    assert limits_of(user).budget(now().timestamp()) == 15
