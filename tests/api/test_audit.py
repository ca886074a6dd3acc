"""Every change of an object leaves its row: a route that is added fails here until it says which rows it leaves."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

import worker.acting  # noqa: F401 - it has itself called before every task, as in the worker
from app import audit
from app.access import keys
from app.extensions import db, write_transaction
from app.models import AuditRow, User
from tests.api.conftest import Ask, asking
from tests.api.test_users import revoke
from worker.budgets import budgets, check_users

SECRETS = ("sk-secret-of-ada-0123456789", "sk-another-secret-0123456789", "sk-third-secret-0123456789", "hidden-key")
ADAS, OTHER, NEW = SECRETS[:3]
MOCK = {"model": "openai/gpt-4o", "mock_response": "Hello from SQL."}
KEY, KEYS = {"key": ADAS}, {"keys": [ADAS]}
DOLLAR = 1_000_000_000


@dataclass(frozen=True)
class Case:
    """A request that succeeds in the test's little world, and the rows that it leaves: "action kind id"."""

    path: str
    body: dict[str, Any]
    rows: tuple[str, ...]
    method: str = "post"
    real: str | None = None


def case(path: str, body: dict[str, Any], *rows: str, **more: Any) -> Case:
    return Case(path, body, rows, **more)


def both(path: str, *given: Any) -> list[Case]:
    """A route of customers, which LiteLLM has under two names."""
    return [case(f"/{name}{path}", *given) for name in ("customer", "end_user")]


# KEY_ID stands for the id of ada's key, ? for one that is made.
CASES = [
    case("/user/new", {"user_id": "bob", "key": NEW}, "created user bob", "created key ?"),
    case("/user/update", {"user_id": "ada", "max_budget": 7}, "updated user ada"),
    case(
        "/user/delete", {"user_ids": ["ada"]}, "deleted key KEY_ID", "deleted team_member blue/ada", "deleted user ada"
    ),
    case("/key/generate", {"user_id": "cyd", "key": NEW}, "created user cyd", "created key ?"),
    case("/key/service-account/generate", {"team_id": "blue", "key": NEW}, "created key ?"),
    case("/key/regenerate", KEY | {"new_key": NEW}, "updated key KEY_ID"),
    case("/key/{key}/regenerate", {"new_key": NEW}, "updated key KEY_ID", real=f"/key/{ADAS}/regenerate"),
    case("/key/update", KEY | {"max_budget": 3}, "updated key KEY_ID"),
    case("/key/bulk_update", {"keys": [KEY | {"max_budget": 3}]}, "updated key KEY_ID"),
    case("/user/bulk_update", {"users": [{"user_id": "ada", "max_budget": 3}]}, "updated user ada"),
    case("/key/delete", KEYS, "deleted key KEY_ID"),
    case("/key/block", KEY, "updated key KEY_ID"),
    case("/key/unblock", KEY),
    case("/key/{key}/reset_spend", {"reset_to": 0.5}, "created credit ?", real=f"/key/{ADAS}/reset_spend"),
    case("/team/new", {"team_id": "red"}, "created team red"),
    case("/team/update", {"team_id": "blue", "max_budget": 7}, "updated team blue"),
    case("/team/{team_id}", {"max_budget": 7}, "updated team blue", method="patch", real="/team/blue"),
    case(
        "/team/delete",
        {"team_ids": ["blue"]},
        *("deleted key KEY_ID", "deleted team_member blue/ada", "deleted team blue"),
    ),
    case("/team/block", {"team_id": "blue"}, "updated team blue"),
    case("/team/unblock", {"team_id": "blue"}),
    case("/team/model/add", {"team_id": "blue", "models": ["m"]}, "updated team blue"),
    case("/team/model/delete", {"team_id": "blue", "models": ["old"]}, "updated team blue"),
    case(
        "/team/member_add",
        {"team_id": "blue", "member": {"user_id": "dan", "role": "user"}},
        *("created user dan", "created team_member blue/dan"),
    ),
    case(
        "/team/bulk_member_add",
        {"team_id": "blue", "members": [{"user_id": "dan", "role": "user"}]},
        *("created user dan", "created team_member blue/dan"),
    ),
    case("/team/member_update", {"team_id": "blue", "user_id": "ada", "role": "admin"}, "updated team_member blue/ada"),
    case(
        "/team/member_delete",
        {"team_id": "blue", "user_id": "ada"},
        *("deleted key KEY_ID", "deleted team_member blue/ada"),
    ),
    *both("/new", {"user_id": "c2"}, "created customer c2"),
    *both("/update", {"user_id": "c1", "max_budget": 7}, "updated customer c1"),
    *both("/delete", {"user_ids": ["c1"]}, "deleted customer c1"),
    *both("/block", {"user_ids": ["c1"]}, "updated customer c1"),
    *both("/unblock", {"user_ids": ["c1"]}),
    case("/budget/new", {"budget_id": "b2", "max_budget": 1}, "created budget b2"),
    case("/budget/update", {"budget_id": "b1", "max_budget": 7}, "updated budget b1"),
    case("/budget/delete", {"id": "b1"}, "deleted budget b1"),
    case("/limits/{kind}/{reference}/credit", {"amount": 1}, "created credit ?", real="/limits/user/ada/credit"),
    case("/model/new", {"model_name": "n", "litellm_params": MOCK}, "created deployment ?"),
    case("/model/update", {"model_info": {"id": "m1"}, "model_name": "new"}, "updated deployment m1"),
    case(
        "/model/{model_id}/update",
        {"model_name": "new"},
        "updated deployment m1",
        method="patch",
        real="/model/m1/update",
    ),
    case("/model/delete", {"id": "m1"}, "deleted deployment m1"),
    case("/model/block", {"model_id": "m1"}, "updated deployment m1"),
    case("/model/unblock", {"model_id": "m1"}),
    case("/config/reload", {}, f"updated config {socket.gethostname()}"),
]
# Routes that are no GET and change no object.
ONLY_READ = {
    *("/budget/info", "/limits/explain", "/global/spend/end_users", "/spend/calculate", "/cost/estimate"),
    *("/utils/token_counter", "/webhooks/test", "/key/health"),
}


@pytest.fixture
def world(admin: Ask, spent: Callable[..., None]) -> str:
    """A user with a key, a team with that member, a customer, a template, a deployment; gives the key's id."""
    admin("/team/new", {"team_id": "blue", "models": ["old", "older"]})
    admin("/user/new", {"user_id": "ada", "max_budget": 5, "auto_create_key": False})
    admin("/team/member_add", {"team_id": "blue", "member": {"user_id": "ada", "role": "user"}})
    key = admin("/key/generate", {"user_id": "ada", "team_id": "blue", "key": ADAS, "max_budget": 5}).json
    admin("/customer/new", {"user_id": "c1"})
    admin("/budget/new", {"budget_id": "b1", "max_budget": 5})
    made = admin("/model/new", {"model_name": "m", "litellm_params": MOCK, "model_info": {"id": "m1"}})
    assert made.status_code == 200, made.text
    spent(f"key:{key['key_id']}", DOLLAR)
    return str(key["key_id"])


def rows_of(app: Flask) -> list[AuditRow]:
    """All rows, oldest first."""
    with app.app_context():
        return list(audit.listed(audit.Wanted(), page=1, size=1000, newest_first=False)[0])


def told(row: AuditRow, key_id: str) -> str:
    """A row as the cases write it."""
    identity = "KEY_ID" if row.object_id == key_id else row.object_id
    made = re.fullmatch(r"(key|crd)_[0-9a-f]{24}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", identity)
    return f"{row.action} {row.object_kind} {'?' if made else identity}"


def test_every_route_that_changes_something_says_which_rows_it_leaves(bare_app: Flask) -> None:
    spec: Any = bare_app.test_client().get("/openapi.json").json
    writes = {
        (path, method)
        for path, item in spec["paths"].items()
        for method, operation in item.items()
        if method in {"post", "put", "patch", "delete"} and "LLM routes" not in operation["tags"][0]
    }
    known = {(one.path, one.method) for one in CASES} | {(path, "post") for path in ONLY_READ}
    assert writes == known


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("one", CASES, ids=[one.path for one in CASES])
def test_a_change_leaves_its_rows(gateway_app: Flask, master: str, world: str, one: Case) -> None:
    before = len(rows_of(gateway_app))
    send = getattr(gateway_app.test_client(), one.method)
    answer = send(one.real or one.path, json=one.body, headers={"Authorization": f"Bearer {master}"})
    assert answer.status_code == 200, answer.text
    rows = rows_of(gateway_app)[before:]
    assert [told(row, world) for row in rows] == list(one.rows)
    with gateway_app.app_context():
        written = str(db.session.execute(sa.text("SELECT * FROM audit")).all())
    hashes = [keys.token_of(secret) for secret in SECRETS]
    assert [secret for secret in (*SECRETS, *hashes) if secret in written] == []


def changes(admin: Ask, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = admin("/audit", **query).json["audit_logs"]
    return found


def test_a_change_is_shown_with_what_it_was_and_what_it_is_in_dollars(admin: Ask) -> None:
    admin("/user/new", {"user_id": "ada", "max_budget": 5, "auto_create_key": False})
    limits = {"m": {"max_budget": 0.5}}
    admin("/user/update", {"user_id": "ada", "max_budget": 2.5, "user_alias": "Ada", "model_limits": limits})
    (change,) = changes(admin, action="updated")
    assert change["before_value"] == {"max_budget": 5.0, "user_alias": None, "model_limits": {}}
    assert change["updated_values"] == {"max_budget": 2.5, "user_alias": "Ada", "model_limits": limits}
    assert (change["actor"], change["table_name"], change["object_id"]) == ("master", "user", "ada")
    assert admin(f"/audit/{change['id']}").json == change


def test_what_is_made_and_what_is_deleted_is_shown_whole(admin: Ask) -> None:
    admin("/budget/new", {"budget_id": "b", "max_budget": 5})
    admin("/budget/delete", {"id": "b"})
    deleted, created = changes(admin)
    assert (created["before_value"], deleted["updated_values"]) == (None, None)
    assert created["updated_values"]["max_budget"] == deleted["before_value"]["max_budget"] == 5.0
    assert created["updated_values"] == deleted["before_value"]


def test_a_new_secret_is_told_without_the_secret(admin: Ask) -> None:
    key = admin("/key/generate", {}).json["key"]
    admin("/key/regenerate", {"key": key})
    (change,) = changes(admin, action="updated")
    assert change["updated_values"]["token"] == change["before_value"]["token"] == audit.HIDDEN
    assert change["updated_values"]["rotation_count"] == 1


def test_an_update_that_changes_nothing_leaves_no_row(admin: Ask) -> None:
    admin("/user/new", {"user_id": "ada", "max_budget": 5, "models": ["m"]})
    admin("/user/update", {"user_id": "ada", "max_budget": 5, "models": ["m"]})
    assert changes(admin, action="updated") == []


def test_what_is_refused_leaves_no_row(admin: Ask) -> None:
    admin("/user/new", {"user_id": "ada"})
    before = changes(admin)
    admin("/user/new", {"user_id": "ada"})
    admin("/user/delete", {"user_ids": ["ada", "nobody"]})
    assert changes(admin) == before


def test_a_change_names_the_key_its_user_and_whom_the_header_names(admin: Ask, gateway_app: Flask) -> None:
    made = admin("/user/new", {"user_id": "root", "user_role": "proxy_admin"}).json
    headers = {"Authorization": f"Bearer {made['key']}", "litellm-changed-by": "eve\tx" + "y" * 300}
    gateway_app.test_client().post("/customer/new", json={"user_id": "c"}, headers=headers)
    (change,) = changes(admin, table_name="customer")
    assert (change["actor"], change["actor_user_id"]) == (made["key_id"], "root")
    assert change["changed_by"] == ("evex" + "y" * 300)[: audit.LONGEST_NAME]


def test_the_next_request_of_a_thread_is_not_the_last_caller_s(admin: Ask, gateway_app: Flask) -> None:
    admin("/user/list")
    gateway_app.test_client().get("/health/liveliness")
    with gateway_app.app_context(), write_transaction() as session:
        session.add(User(user_id="ada"))
    assert [change["actor"] for change in changes(admin)] == [audit.GATEWAY]


def test_the_worker_revokes_and_opens_each_key_once(admin: Ask, gateway_app: Flask, spent: Callable[..., None]) -> None:
    key = admin("/user/new", {"user_id": "ada", "max_budget": 1}).json
    spent("user:ada", DOLLAR)
    with gateway_app.app_context():
        budgets.apply(args=("ada",))
        check_users(["ada"])
    (change,) = changes(admin, action="updated")
    assert (change["actor"], change["object_id"]) == (audit.WORKER, key["key_id"])
    assert change["updated_values"]["revoked_reason"] == "budget_exceeded"


def test_keys_that_a_raise_opens_are_told_with_the_raise(
    admin: Ask, gateway_app: Flask, spent: Callable[..., None]
) -> None:
    admin("/user/new", {"user_id": "ada", "max_budget": 1})
    spent("user:ada", DOLLAR)
    revoke(gateway_app, "ada")
    admin("/user/update", {"user_id": "ada", "max_budget": 2})
    assert {change["table_name"] for change in changes(admin, action="updated", actor="master")} == {"user", "key"}


def test_changes_are_found_by_object_kind_actor_and_time(admin: Ask, ask: Ask) -> None:
    made = admin("/user/new", {"user_id": "ada", "user_role": "proxy_admin"}).json
    ask(made["key"], "/customer/new", {"user_id": "c"})
    at = changes(admin, table_name="customer")[0]["updated_at"]
    found = [
        changes(admin, object_id="ada", table_name="user"),
        changes(admin, actor=made["key_id"]),
        changes(admin, changed_by="ada"),
        changes(admin, changed_by="master", table_name="key"),
        changes(admin, start_date="2999-01-01"),
        changes(admin, end_date=at, table_name="customer"),
    ]
    assert [[change["object_id"] for change in one] for one in found] == [
        ["ada"],
        ["c"],
        ["c"],
        [made["key_id"]],
        [],
        [],
    ]


def test_changes_are_listed_page_by_page_in_either_order(admin: Ask) -> None:
    for name in ("a", "b", "c"):
        admin("/customer/new", {"user_id": name})
    page = admin("/audit", page=2, page_size=2, sort_order="asc").json
    assert [change["object_id"] for change in page.pop("audit_logs")] == ["c"]
    assert page == {"total": 3, "page": 2, "page_size": 2, "total_pages": 2}
    assert [change["object_id"] for change in changes(admin)] == ["c", "b", "a"]


def test_only_admins_read_the_audit(admin: Ask, ask: Ask) -> None:
    roles = ("proxy_admin", "proxy_admin_viewer", "internal_user", "internal_user_viewer")
    secrets = [admin("/user/new", {"user_id": role, "user_role": role}).json["key"] for role in roles]
    row = changes(admin)[0]["id"]
    assert [ask(key, "/audit").status_code for key in secrets] == [200, 200, 403, 403]
    assert [ask(key, f"/audit/{row}").status_code for key in secrets] == [200, 200, 403, 403]


def test_an_unknown_change_is_not_found(admin: Ask) -> None:
    assert admin("/audit/aud_nobody").status_code == 404


def test_credentials_of_a_deployment_stand_in_no_row(
    make_app: Callable[..., Flask], make_settings: Callable[..., Any]
) -> None:
    app = make_app()
    ask = asking(app.test_client())
    params = {"model": "openai/gpt-4o", "api_key": "hidden-key"}
    made = ask(make_settings().master_key, "/model/new", {"model_name": "m", "litellm_params": params})
    assert made.status_code == 200, made.text
    (row,) = rows_of(app)
    assert row.after is not None
    assert row.after["credentials"] == audit.HIDDEN
    assert "hidden-key" not in str(row.after)


def test_no_statement_changes_many_audited_rows_unseen() -> None:
    # An encryption key that is replaced changes no deployment.
    known = {"app/gateway/deployments.py: update(StoredDeployment"}
    names = "|".join(table.__name__ for table in audit.AUDITED)
    root = Path(__file__).parents[2]
    found = {
        f"{path.relative_to(root).as_posix()}: {match[0]}"
        for folder in ("app", "worker")
        for path in (root / folder).rglob("*.py")
        for match in re.finditer(rf"\b(?:update|delete|insert)\((?:{names})\b", path.read_text())
        if not match[0].startswith("delete(") or "sa." in path.read_text()[match.start() - 3 : match.start()]
    }
    assert found == known
