from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.api.conftest import Ask
from tests.limited import CHANGED, CLEARED, LIMITS, shown
from tests.people import HELLO

DOLLAR = 1_000_000_000
RAISED = {"temp_budget_increase": 2.0, "temp_budget_expiry": "2099-01-01T00:00:00.000Z"}
Call = Callable[[str], Any]


@pytest.fixture
def call(client: FlaskClient) -> Call:
    """call("sk-...") asks the mock model."""
    return lambda key: client.post("/v1/chat/completions", json=HELLO, headers={"Authorization": f"Bearer {key}"})


@pytest.fixture
def blue(admin: Ask) -> str:
    """A team with ada in it, and a key of hers."""
    admin("/team/new", {"team_id": "blue", "members_with_roles": [{"user_id": "ada"}]})
    key: str = admin("/key/generate", {"user_id": "ada", "team_id": "blue"}).json["key"]
    return key


def test_every_limit_of_a_team_can_be_set_changed_and_cleared(admin: Ask) -> None:
    made = admin("/team/new", {"team_id": "blue", **LIMITS, **RAISED, "models": ["m"]}).json
    changed = admin("/team/update", {"team_id": "blue", **CHANGED}).json["data"]
    nothing = dict.fromkeys([*LIMITS, *RAISED, "models", "metadata", "team_alias"])
    cleared = admin("/team/update", {"team_id": "blue", **nothing}).json["data"]
    assert (shown(made), shown(changed), shown(cleared)) == (LIMITS, CHANGED, CLEARED)
    assert {name: made[name] for name in RAISED} == {name: changed[name] for name in RAISED} == RAISED
    assert {name: cleared[name] for name in RAISED} == dict.fromkeys(RAISED)
    assert (made["models"], cleared["models"]) == (["m"], [])


def test_every_limit_of_a_member_can_be_set_changed_and_cleared(admin: Ask) -> None:
    admin("/team/new", {"team_id": "blue"})
    given = {"team_id": "blue", "member": {"user_id": "ada"}, **LIMITS, **RAISED, "models": ["m"]}
    (made,) = admin("/team/member_add", given).json["updated_team_memberships"]
    ada = {"team_id": "blue", "user_id": "ada"}
    changed = admin("/team/member_update", {**ada, **CHANGED}).json
    cleared = admin("/team/member_update", {**ada, **dict.fromkeys([*LIMITS, *RAISED, "models"])}).json
    assert (shown(made), shown(changed), shown(cleared)) == (LIMITS, CHANGED, CLEARED)
    assert {name: made[name] for name in RAISED} == {name: changed[name] for name in RAISED} == RAISED
    assert {name: cleared[name] for name in RAISED} == dict.fromkeys(RAISED)
    assert (made["models"], cleared["models"]) == (["m"], [])


def test_every_limit_of_all_members_can_be_set_changed_and_cleared(admin: Ask) -> None:
    made = admin("/team/new", {"team_id": "blue", "member_limits": LIMITS}).json
    changed = admin("/team/update", {"team_id": "blue", "member_limits": CHANGED}).json["data"]
    cleared = admin("/team/update", {"team_id": "blue", "member_limits": None}).json["data"]
    assert (made["member_limits"], changed["member_limits"], cleared["member_limits"]) == (LIMITS, CHANGED, {})


def test_litellm_s_names_for_the_limits_of_all_members(admin: Ask) -> None:
    theirs = {
        "team_member_budget": 5.0,
        "team_member_budget_duration": "30d",
        "team_member_rpm_limit": 7,
        "team_member_tpm_limit": 70,
    }
    made = admin("/team/new", {"team_id": "blue", **theirs}).json
    ours = {"max_budget": 5.0, "budget_duration": "30d", "rpm_limit": 7, "tpm_limit": 70}
    assert ({name: made[name] for name in theirs}, made["member_limits"]) == (theirs, ours)
    changed = admin("/team/update", {"team_id": "blue", "team_member_budget": None}).json["data"]
    assert changed["member_limits"] == {name: ours[name] for name in ours if name != "max_budget"}
    assert changed["team_member_budget"] is None


def test_litellm_s_name_for_a_member_s_budget(admin: Ask) -> None:
    admin("/team/new", {"team_id": "blue"})
    given = {"team_id": "blue", "member": {"user_id": "ada"}, "max_budget_in_team": 3, "allowed_models": ["m"]}
    (made,) = admin("/team/member_add", given).json["updated_team_memberships"]
    changed = admin("/team/member_update", {"team_id": "blue", "user_id": "ada", "max_budget_in_team": 4}).json
    assert [(one["max_budget"], one["max_budget_in_team"]) for one in (made, changed)] == [(3.0, 3.0), (4.0, 4.0)]
    assert made["models"] == ["m"]


def test_two_names_of_one_limit_with_two_values_are_a_bad_request(admin: Ask) -> None:
    admin("/team/new", {"team_id": "blue"})
    given = {"team_id": "blue", "member": {"user_id": "ada"}, "max_budget_in_team": 3, "max_budget": 4}
    answer = admin("/team/member_add", given)
    assert (answer.status_code, answer.json["error"]["param"]) == (400, "max_budget_in_team")


def test_a_patch_is_an_update(admin: Ask, client: FlaskClient, master: str) -> None:
    admin("/team/new", {"team_id": "blue", "max_budget": 1, "team_alias": "Blue"})
    headers = {"Authorization": f"Bearer {master}"}
    changed: Any = client.patch("/team/blue", json={"max_budget": 2}, headers=headers)
    assert (changed.json["data"]["max_budget"], changed.json["data"]["team_alias"]) == (2.0, "Blue")
    assert client.patch("/team/red", json={"max_budget": 2}, headers=headers).status_code == 404


@pytest.mark.parametrize("team_id", ["a/b", "100%"])
def test_a_team_id_that_would_make_meters_ambiguous_is_refused(admin: Ask, team_id: str) -> None:
    answer = admin("/team/new", {"team_id": team_id})
    assert (answer.status_code, answer.json["error"]["param"]) == (400, "team_id")


def test_a_team_id_that_is_taken_is_a_conflict_and_changes_nothing(admin: Ask) -> None:
    admin("/team/new", {"team_id": "blue", "max_budget": 1})
    answer = admin("/team/new", {"team_id": "blue", "members_with_roles": [{"user_id": "ada"}]})
    assert (answer.status_code, answer.json["error"]["param"]) == (409, "team_id")
    assert admin("/user/info", user_id="ada").status_code == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("update", {"team_id": "red"}),
        ("delete", {"team_ids": ["blue", "red"]}),
        ("block", {"team_id": "red"}),
        ("unblock", {"team_id": "red"}),
        ("model/add", {"team_id": "red", "models": ["m"]}),
        ("model/delete", {"team_id": "red", "models": ["m"]}),
        ("member_add", {"team_id": "red", "member": {"user_id": "bob"}}),
        ("bulk_member_add", {"team_id": "red", "members": [{"user_id": "bob"}]}),
        ("member_update", {"team_id": "red", "user_id": "ada"}),
        ("member_update", {"team_id": "blue", "user_id": "bob"}),
        ("member_delete", {"team_id": "red", "user_id": "ada"}),
        ("member_delete", {"team_id": "blue", "user_id": "bob"}),
        ("member_delete", {"team_id": "blue", "user_email": "nobody@example.com"}),
        ("new", {"team_id": "red", "budget_id": "nobodys"}),
        ("update", {"team_id": "blue", "budget_id": "nobodys"}),
        ("member_add", {"team_id": "blue", "member": {"user_id": "bob"}, "budget_id": "nobodys"}),
        ("member_update", {"team_id": "blue", "user_id": "ada", "budget_id": "nobodys"}),
        ("member_add", {"team_id": "blue", "member": {"user_email": "nobody@example.com"}}),
    ],
)
def test_what_is_not_there_is_not_found_and_nothing_changes(
    admin: Ask, blue: str, path: str, body: dict[str, Any]
) -> None:
    before = admin("/team/list").json
    assert admin(f"/team/{path}", body).status_code == 404
    assert admin("/team/list").json == before
    assert admin("/key/info", key=blue).status_code == 200
    assert admin("/user/info", user_id="bob").status_code == 404


def test_an_unknown_team_has_no_info(admin: Ask) -> None:
    assert admin("/team/info", team_id="red").status_code == 404


def test_a_member_that_nobody_knows_becomes_a_user(admin: Ask) -> None:
    admin("/team/new", {"team_id": "blue"})
    answer = admin("/team/member_add", {"team_id": "blue", "member": {"user_id": "ada", "role": "admin"}})
    assert answer.json["members_with_roles"] == [{"user_id": "ada", "user_email": None, "role": "admin"}]
    assert admin("/user/info", user_id="ada").json["user_info"]["teams"] == ["blue"]


def test_a_member_is_found_by_email(admin: Ask) -> None:
    admin("/user/new", {"user_id": "ada", "user_email": "ada@example.com"})
    admin("/team/new", {"team_id": "blue"})
    added = admin("/team/member_add", {"team_id": "blue", "member": [{"user_email": "ada@example.com"}]}).json
    assert [member["user_id"] for member in added["members_with_roles"]] == ["ada"]
    changed = admin("/team/member_update", {"team_id": "blue", "user_email": "ada@example.com", "role": "admin"})
    assert (changed.json["user_id"], changed.json["role"]) == ("ada", "admin")
    assert (
        admin("/team/member_delete", {"team_id": "blue", "user_email": "ada@example.com"}).json["members_with_roles"]
        == []
    )


def test_an_address_that_is_somebody_else_s_is_a_bad_request(admin: Ask) -> None:
    admin("/user/new", {"user_id": "ada", "user_email": "ada@example.com"})
    admin("/team/new", {"team_id": "blue"})
    answer = admin("/team/member_add", {"team_id": "blue", "member": {"user_id": "ada", "user_email": "b@example.com"}})
    assert (answer.status_code, answer.json["error"]["param"]) == (400, "user_email")


def test_a_new_member_s_address_is_kept_with_the_new_user(admin: Ask) -> None:
    admin("/team/new", {"team_id": "blue", "members_with_roles": [{"user_id": "ada", "user_email": "a@example.com"}]})
    assert admin("/user/info", user_id="ada").json["user_info"]["user_email"] == "a@example.com"


def test_somebody_who_is_in_the_team_already_is_litellm_s_error_and_adds_nobody(admin: Ask, blue: str) -> None:
    assert blue
    answer = admin("/team/bulk_member_add", {"team_id": "blue", "members": [{"user_id": "bob"}, {"user_id": "ada"}]})
    error = answer.json["error"]
    assert (answer.status_code, error["type"], error["code"]) == (400, *["team_member_already_in_team"] * 2)
    assert [member["user_id"] for member in admin("/team/list").json[0]["members_with_roles"]] == ["ada"]
    assert admin("/user/info", user_id="bob").status_code == 404


def test_somebody_who_is_named_twice_is_added_by_neither(admin: Ask) -> None:
    people = [{"user_id": "ada"}, {"user_id": "ada"}]
    answer = admin("/team/new", {"team_id": "blue", "members_with_roles": people})
    assert answer.json["error"]["code"] == "team_member_already_in_team"
    assert admin("/team/list").json == []


def test_many_members_are_added_at_once_with_the_same_limits(admin: Ask) -> None:
    admin("/team/new", {"team_id": "blue"})
    people = [{"user_id": "ada"}, {"user_id": "bob", "role": "admin"}]
    added = admin("/team/bulk_member_add", {"team_id": "blue", "members": people, "max_budget_in_team": 2}).json
    memberships = [(one["user_id"], one["role"], one["max_budget"]) for one in added["updated_team_memberships"]]
    assert memberships == [("ada", "user", 2.0), ("bob", "admin", 2.0)]


def test_a_role_that_does_not_exist_is_refused(admin: Ask, blue: str) -> None:
    assert blue
    assert admin("/team/member_update", {"team_id": "blue", "user_id": "ada", "role": "king"}).status_code == 400


def test_info_shows_keys_and_what_each_member_has_and_spent(admin: Ask, blue: str, spent: Callable[..., None]) -> None:
    admin("/team/update", {"team_id": "blue", "max_budget": 9, "team_member_budget": 5})
    spent("team:blue", 3 * DOLLAR)
    spent("team_member:blue/ada", 2 * DOLLAR)
    info = admin("/team/info", team_id="blue").json
    assert (info["team_id"], info["team_info"]["spend"], info["team_info"]["effective_budget"]) == ("blue", 3.0, 9.0)
    (member,) = info["team_memberships"]
    assert (member["user_id"], member["spend"], member["max_budget"], member["effective_budget"]) == (
        "ada",
        2.0,
        None,
        5.0,
    )
    assert [key["key_name"] for key in info["keys"]] == ["sk-..." + blue[-4:]]
    assert admin("/team/info", team_id="blue", key_limit=0).json["keys"] == []


def test_teams_are_listed_page_by_page_by_member_and_by_text(admin: Ask) -> None:
    for team_id in ("blue", "green", "red"):
        admin("/team/new", {"team_id": team_id, "team_alias": f"Team {team_id}"})
    admin("/team/member_add", {"team_id": "green", "member": {"user_id": "ada"}})
    first = admin("/team/list", page_size=2)
    assert ([row["team_id"] for row in first.json], first.headers["x-total-count"]) == (["blue", "green"], "3")
    assert [row["team_id"] for row in admin("/team/list", user_id="ada").json] == ["green"]
    assert [row["team_id"] for row in admin("/team/list", search="TEAM RE").json] == ["red"]
    backwards = admin("/v2/team/list", sort_by="team_id", sort_order="desc", page_size=2).json
    assert [row["team_id"] for row in backwards.pop("teams")] == ["red", "green"]
    assert backwards == {"total": 3, "page": 1, "page_size": 2, "total_pages": 2}


def test_models_are_put_on_the_list_and_taken_off_it(admin: Ask) -> None:
    admin("/team/new", {"team_id": "blue", "models": ["a"]})
    added = admin("/team/model/add", {"team_id": "blue", "models": ["b", "a"]}).json["models"]
    removed = admin("/team/model/delete", {"team_id": "blue", "models": ["a"]}).json["models"]
    assert (added, removed) == (["a", "b"], ["b"])


@pytest.mark.parametrize(
    ("path", "change", "scope"),
    [
        ("/team/update", {"max_budget": 0}, "team:blue"),
        ("/team/member_update", {"user_id": "ada", "max_budget_in_team": 0}, "team_member:blue/ada"),
        ("/team/update", {"team_member_budget": 0}, "team_member:blue/ada"),
        ("/team/update", {"max_parallel_requests": 0}, "team:blue"),
        ("/team/member_update", {"user_id": "ada", "rpm_limit": 0}, "team_member:blue/ada"),
        ("/team/update", {"member_limits": {"tpm_limit": 0}}, "team_member:blue/ada"),
    ],
)
def test_a_limit_acts_on_the_next_call_and_says_whose_it_is(
    admin: Ask, blue: str, call: Call, path: str, change: dict[str, Any], scope: str
) -> None:
    assert call(blue).status_code == 200
    assert admin(path, {"team_id": "blue", **change}).status_code == 200
    refused = call(blue)
    assert (refused.status_code, refused.json["error"]["scope"]) == (429, scope)
    cleared = {name: None if name != "user_id" else value for name, value in change.items()}
    assert admin(path, {"team_id": "blue", **cleared}).status_code == 200
    assert call(blue).status_code == 200


def test_what_members_have_counts_for_a_key_of_somebody_who_is_no_member(admin: Ask, blue: str, call: Call) -> None:
    assert blue
    admin("/team/update", {"team_id": "blue", "team_member_budget": 0})
    key = admin("/key/generate", {"user_id": "bob", "team_id": "blue"}).json["key"]
    assert call(key).json["error"]["scope"] == "team_member:blue/bob"
    admin("/team/member_add", {"team_id": "blue", "member": {"user_id": "bob"}, "max_budget_in_team": 1})
    assert call(key).status_code == 200


def test_a_blocked_team_s_keys_are_refused_until_it_is_opened(admin: Ask, blue: str, call: Call) -> None:
    assert call(blue).status_code == 200
    assert admin("/team/block", {"team_id": "blue"}).json["blocked"] is True
    assert (call(blue).status_code, call(blue).json["error"]["code"]) == (401, "blocked_key")
    assert admin("/team/unblock", {"team_id": "blue"}).json["blocked"] is False
    assert call(blue).status_code == 200


def test_a_deleted_team_is_gone_with_its_keys_and_its_members_stay(admin: Ask, blue: str, call: Call) -> None:
    own = admin("/key/generate", {"user_id": "ada"}).json["key"]
    assert [call(blue).status_code, call(own).status_code] == [200, 200]
    answer = admin("/team/delete", {"team_ids": ["blue"]})
    assert answer.json == {"deleted_teams": ["blue"]}
    assert [call(blue).status_code, call(own).status_code] == [401, 200]
    info = admin("/user/info", user_id="ada").json
    assert (info["user_info"]["teams"], info["teams"], len(info["keys"])) == ([], [], 1)


def test_a_member_who_leaves_loses_the_keys_of_this_team_alone(admin: Ask, blue: str, call: Call) -> None:
    own = admin("/key/generate", {"user_id": "ada"}).json["key"]
    others = admin("/key/generate", {"team_id": "blue"}).json["key"]
    assert [call(key).status_code for key in (blue, own, others)] == [200] * 3
    assert admin("/team/member_delete", {"team_id": "blue", "user_id": "ada"}).json["members_with_roles"] == []
    assert [call(key).status_code for key in (blue, own, others)] == [401, 200, 200]


def test_a_new_user_can_be_in_teams(admin: Ask) -> None:
    for team_id in ("blue", "green"):
        admin("/team/new", {"team_id": team_id})
    teams = ["green", {"team_id": "blue", "max_budget_in_team": 3, "user_role": "admin"}]
    assert sorted(admin("/user/new", {"user_id": "ada", "teams": teams}).json["teams"]) == ["blue", "green"]
    found = {one["team_id"]: one for one in admin("/user/info", user_id="ada").json["teams"]}
    assert [(found[team]["role"], found[team]["max_budget"]) for team in ("green", "blue")] == [
        ("user", None),
        ("admin", 3.0),
    ]


def test_a_new_user_in_an_unknown_team_is_not_made(admin: Ask) -> None:
    admin("/team/new", {"team_id": "blue"})
    assert admin("/user/new", {"user_id": "ada", "teams": ["blue", "red"]}).status_code == 404
    assert admin("/user/list").json["total"] == 0


def test_users_are_listed_with_their_teams_and_by_team(admin: Ask, blue: str) -> None:
    assert blue
    admin("/user/new", {"user_id": "bob"})
    assert {user["user_id"]: user["teams"] for user in admin("/user/list").json["users"]} == {
        "ada": ["blue"],
        "bob": [],
    }
    assert [user["user_id"] for user in admin("/user/list", team="blue").json["users"]] == ["ada"]


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        ("/team/new", "model_max_budget", {"m": 1}),
        ("/team/new", "organization_id", "o"),
        ("/team/new", "tpd_limit", 0),
        ("/team/member_add", "tpd_limit", 5),
        ("/customer/new", "allowed_model_region", "eu"),
        ("/customer/new", "default_model", "m"),
        ("/budget/new", "model_max_budget", {"m": 1}),
    ],
)
def test_what_is_not_enforced_is_refused(admin: Ask, path: str, field: str, value: Any) -> None:
    answer = admin(path, {field: value})
    assert (answer.status_code, answer.json["error"]["param"]) == (400, field)
    assert "not supported yet" in answer.json["error"]["message"]
