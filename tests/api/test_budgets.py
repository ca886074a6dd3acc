from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.api.conftest import Ask, asking
from tests.limited import CHANGED, CLEARED, LIMITS, shown
from tests.people import HELLO


def test_every_limit_of_a_template_can_be_set_changed_and_cleared(admin: Ask) -> None:
    made = admin("/budget/new", {"budget_id": "free", **LIMITS}).json
    changed = admin("/budget/update", {"budget_id": "free", **CHANGED}).json
    cleared = admin("/budget/update", {"budget_id": "free", **dict.fromkeys(LIMITS)}).json
    assert (shown(made), shown(changed), shown(cleared)) == (LIMITS, CHANGED, CLEARED)


def test_an_update_leaves_what_is_not_sent(admin: Ask) -> None:
    admin("/budget/new", {"budget_id": "free", **LIMITS, "metadata": {"a": 1}})
    changed = admin("/budget/update", {"budget_id": "free", "rpm_limit": 1}).json
    assert shown(changed) == LIMITS | {"rpm_limit": 1}
    assert changed["metadata"] == {"a": 1}


def test_a_template_without_an_id_gets_one(admin: Ask) -> None:
    made = admin("/budget/new", {"max_budget": 1}).json
    (found,) = admin("/budget/info", {"budgets": [made["budget_id"]]}).json
    assert found == made


def test_a_budget_id_that_is_taken_is_a_conflict_and_changes_nothing(admin: Ask) -> None:
    admin("/budget/new", {"budget_id": "free", "max_budget": 1})
    answer = admin("/budget/new", {"budget_id": "free", "max_budget": 2})
    assert (answer.status_code, answer.json["error"]["param"]) == (409, "budget_id")
    assert admin("/budget/info", {"budgets": ["free"]}).json[0]["max_budget"] == 1.0


@pytest.mark.parametrize(
    ("path", "body"),
    [("update", {"budget_id": "nobodys"}), ("info", {"budgets": ["nobodys"]}), ("delete", {"id": "nobodys"})],
)
def test_an_unknown_template_is_not_found(admin: Ask, path: str, body: dict[str, Any]) -> None:
    assert admin(f"/budget/{path}", body).status_code == 404


def test_templates_are_listed_page_by_page_in_the_wanted_order(admin: Ask) -> None:
    for budget_id, budget in (("a", 2), ("b", None), ("c", 1)):
        admin("/budget/new", {"budget_id": budget_id, "max_budget": budget})
    answer = admin("/budget/list", sort_by="max_budget", page_size=2)
    assert ([row["budget_id"] for row in answer.json], answer.headers["x-total-count"]) == (["c", "a"], "3")
    last = admin("/budget/list", sort_by="max_budget", page_size=2, page=2).json
    backwards = admin("/budget/list", sort_by="max_budget", sort_order="desc").json
    assert ([row["budget_id"] for row in last], [row["budget_id"] for row in backwards]) == (["b"], ["a", "c", "b"])


def test_templates_are_found_by_a_part_of_their_id(admin: Ask) -> None:
    for budget_id in ("free", "paid"):
        admin("/budget/new", {"budget_id": budget_id})
    assert [row["budget_id"] for row in admin("/budget/list", search="RE").json] == ["free"]


def test_the_settings_of_a_template_say_what_each_field_means(admin: Ask) -> None:
    admin("/budget/new", {"budget_id": "free", "max_budget": 1})
    settings = {row["field_name"]: row for row in admin("/budget/settings", budget_id="free").json}
    assert set(settings) == set(LIMITS)
    assert (settings["max_budget"]["field_value"], settings["max_budget"]["stored_in_db"]) == (1.0, True)
    assert (settings["rpm_limit"]["field_value"], settings["rpm_limit"]["stored_in_db"]) == (None, False)


def test_a_deleted_template_is_shown_once_more_and_is_gone(admin: Ask) -> None:
    made = admin("/budget/new", {"budget_id": "free", "max_budget": 1}).json
    assert admin("/budget/delete", {"id": "free"}).json == made
    assert admin("/budget/list").json == []


def test_a_template_in_use_is_kept_and_the_error_says_who_has_it(admin: Ask) -> None:
    admin("/budget/new", {"budget_id": "free"})
    admin("/user/new", {"user_id": "ada", "budget_id": "free"})
    for _ in range(2):
        admin("/key/generate", {"budget_id": "free"})
    admin("/team/new", {"team_id": "blue", "budget_id": "free"})
    admin("/team/member_add", {"team_id": "blue", "member": {"user_id": "ada"}, "budget_id": "free"})
    admin("/customer/new", {"user_id": "acme", "budget_id": "free"})
    answer = admin("/budget/delete", {"id": "free"})
    assert answer.status_code == 409
    assert "is used 6 times" in answer.json["error"]["message"]
    assert len(admin("/budget/list").json) == 1


def test_the_template_of_new_customers_is_kept(make_app: Callable[..., Flask], make_settings: Any) -> None:
    ask = asking(make_app(create_customers=True, customer_template="free").test_client())
    master = make_settings().master_key
    ask(master, "/budget/new", {"budget_id": "free"})
    answer = ask(master, "/budget/delete", {"id": "free"})
    assert answer.status_code == 409
    assert "max_end_user_budget_id" in answer.json["error"]["message"]


@pytest.mark.parametrize("kind", ["key", "user", "team", "member", "customer"])
def test_an_edited_template_acts_on_the_next_call_of_everybody_who_has_it(
    admin: Ask, client: FlaskClient, kind: str
) -> None:
    admin("/budget/new", {"budget_id": "free", "max_budget": 1})
    has = {kind: "free"}
    admin("/user/new", {"user_id": "ada", "budget_id": has.get("user"), "auto_create_key": False})
    admin("/team/new", {"team_id": "blue", "budget_id": has.get("team")})
    admin("/team/member_add", {"team_id": "blue", "member": {"user_id": "ada"}, "budget_id": has.get("member")})
    admin("/customer/new", {"user_id": "acme", "budget_id": has.get("customer")})
    key = admin("/key/generate", {"user_id": "ada", "team_id": "blue", "budget_id": has.get("key")}).json["key"]

    def call() -> Any:
        body = HELLO | {"user": "acme"}
        return client.post("/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {key}"})

    assert call().status_code == 200
    admin("/budget/update", {"budget_id": "free", "max_budget": 0})
    refused: Any = call()
    assert (refused.status_code, refused.json["error"]["limit"]) == (429, 0.0)
    assert refused.json["error"]["scope"].partition(":")[0] == ("team_member" if kind == "member" else kind)
    admin("/budget/update", {"budget_id": "free", "max_budget": None})
    assert call().status_code == 200


def test_a_template_s_values_count_only_where_there_are_no_own(admin: Ask) -> None:
    admin("/budget/new", {"budget_id": "free", "max_budget": 1})
    own = admin("/team/new", {"budget_id": "free", "max_budget": 3}).json
    none = admin("/team/new", {"budget_id": "free"}).json
    assert [(team["max_budget"], team["effective_budget"]) for team in (own, none)] == [(3.0, 3.0), (None, 1.0)]
