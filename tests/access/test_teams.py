from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask

from app.access import callers, keys, members, people, policy, teams, templates
from app.access.members import NewMember
from app.errors import AlreadyInTeam, Conflict, NotAuthenticated, NotFound


def at_once(app: Flask, act: Callable[[], object]) -> list[str]:
    """Does the same four times at once; the names of the errors, "done" where there was none."""

    def run(_: int) -> str:
        with app.app_context():
            try:
                act()
            except (AlreadyInTeam, Conflict, NotFound) as error:
                return type(error).__name__
            return "done"

    with ThreadPoolExecutor(4) as pool:
        return sorted(pool.map(run, range(4)))


def test_a_team_made_many_times_at_once_is_made_once(gateway_app: Flask) -> None:
    done = at_once(gateway_app, lambda: teams.create({"team_id": "blue"}, [NewMember("ada")]))
    assert done == ["Conflict"] * 3 + ["done"]


def test_a_member_added_many_times_at_once_is_added_once(gateway_app: Flask) -> None:
    with gateway_app.app_context():
        teams.create({"team_id": "blue"}, [])
    done = at_once(gateway_app, lambda: members.add_all("blue", [NewMember("ada")]))
    assert done == ["AlreadyInTeam"] * 3 + ["done"]


def test_a_member_removed_many_times_at_once_is_removed_once(gateway_app: Flask) -> None:
    with gateway_app.app_context():
        teams.create({"team_id": "blue"}, [NewMember("ada")])
    done = at_once(gateway_app, lambda: members.remove("blue", "ada", None))
    assert done == ["NotFound"] * 3 + ["done"]


def test_no_key_outlives_its_team_however_late_it_is_made(gateway_app: Flask) -> None:
    with gateway_app.app_context():
        teams.create({"team_id": "blue"}, [])

    def make(number: int) -> str | None:
        with gateway_app.app_context():
            if number == 2:
                teams.delete(["blue"])
                return None
            try:
                return keys.generate({"team_id": "blue"}).secret
            except NotFound:
                return None

    with ThreadPoolExecutor(6) as pool:
        secrets = [secret for secret in pool.map(make, range(6)) if secret is not None]
    with gateway_app.app_context():
        for secret in secrets:
            with pytest.raises(NotAuthenticated):
                callers.identify(secret)


def test_changes_of_a_team_and_of_its_members_change_its_policy_version(gateway_app: Flask) -> None:
    acts: list[Callable[[], object]] = [
        lambda: teams.create({"team_id": "blue"}, []),
        lambda: teams.change("blue", {"max_budget": 1}),
        lambda: members.add_all("blue", [NewMember("ada")]),
        lambda: members.change("blue", "ada", None, {"max_budget": 1}),
        lambda: people.create({"user_id": "bob", "teams": [{"team_id": "blue", "role": "user"}]}),
        lambda: members.remove("blue", "ada", None),
        lambda: teams.delete(["blue"]),
    ]
    with gateway_app.app_context():
        for act in acts:
            before = policy.versions(["team:blue"])
            act()
            assert policy.versions(["team:blue"]) != before


def test_a_deleted_team_changes_the_policy_versions_of_its_keys(gateway_app: Flask) -> None:
    with gateway_app.app_context():
        teams.create({"team_id": "blue"}, [])
        subject = f"key:{keys.generate({'team_id': 'blue'}).row.id}"
        before = policy.versions([subject])
        teams.delete(["blue"])
        assert policy.versions([subject]) != before


def test_a_template_is_not_deleted_while_somebody_gets_it(gateway_app: Flask) -> None:
    with gateway_app.app_context():
        templates.create({"budget_id": "free"})

    def act(number: int) -> str:
        with gateway_app.app_context():
            try:
                if number:
                    teams.create({"team_id": f"team-{number}", "budget_id": "free"}, [])
                else:
                    templates.delete("free")
            except (Conflict, NotFound) as error:
                return type(error).__name__
            return "done"

    with ThreadPoolExecutor(4) as pool:
        deleted, *made = pool.map(act, range(4))
    # Either the template went first and nobody could get it, or somebody has it and it stays.
    assert set(made) == ({"NotFound"} if deleted == "done" else {"done"})
