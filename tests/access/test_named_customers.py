from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from flask import Flask

from app.access import callers, customers, named_customers, policy, templates
from app.access.named_customers import ALL_CUSTOMERS, NamedCustomers
from app.errors import BlockedCustomer, Unavailable
from app.extensions import db


@contextmanager
def queries() -> Iterator[list[str]]:
    """What the database is asked in the meantime."""
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT"):
            asked.append(statement)

    sa.event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", note)


def is_current(found: named_customers.NamedCustomer) -> bool:
    """What admission asks: whether the snapshot's policies still stand."""
    prefix = policy.policy_key("")
    names = [key.removeprefix(prefix) for key, _ in found.policies]
    return policy.versions(names) == [version for _, version in found.policies]


def test_where_there_are_no_customers_no_further_name_is_looked_for(gateway_app: Flask) -> None:
    with gateway_app.app_context():
        known = NamedCustomers(None, create=False)
        known.find("first")
        with queries() as asked:
            found = [known.find(f"name-{number}") for number in range(5)]
            found.append(known.find("again", fresh=True))
        assert asked == []
        assert all(one.customer_id is None and is_current(one) for one in found)


def test_a_name_that_is_nobody_s_is_looked_for_once(gateway_app: Flask) -> None:
    with gateway_app.app_context():
        customers.create({"user_id": "acme"})
        known = NamedCustomers(None, create=False)
        known.find("other")
        with queries() as asked:
            known.find("stranger")
            assert len(asked) == 1
            known.find("stranger")
            known.find("stranger", fresh=True)
        assert len(asked) == 1


def test_a_name_that_was_nobody_s_is_looked_for_again_when_a_customer_is_made(gateway_app: Flask) -> None:
    with gateway_app.app_context():
        known = NamedCustomers(None, create=False)
        nobody = known.find("acme")
        customers.create({"user_id": "acme"})
        assert not is_current(nobody)
        found = known.find("acme", fresh=True)
        assert (found.customer_id, is_current(found)) == ("acme", True)


def test_a_name_that_is_read_while_customers_are_made_is_not_kept(gateway_app: Flask) -> None:
    with gateway_app.app_context():
        known = NamedCustomers(None, create=False)
        with callers.invalidating([ALL_CUSTOMERS]):
            nobody = known.find("acme")
        assert not is_current(nobody)
        with queries() as asked:
            known.find("acme")
        assert asked != []


def test_a_customer_that_is_made_between_version_and_row_makes_the_name_s_snapshot_stale(
    gateway_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = named_customers._read

    def read_and_make(name: str) -> object:
        found = read(name)
        monkeypatch.undo()
        customers.create({"user_id": name, "max_budget": 0})
        return found

    with gateway_app.app_context():
        known = NamedCustomers(None, create=False)
        monkeypatch.setattr(named_customers, "_read", read_and_make)
        nobody = known.find("acme")
        assert (nobody.customer_id, is_current(nobody)) == (None, False)
        assert known.find("acme", fresh=True).customer_id == "acme"


def test_a_name_becomes_a_customer_with_the_template_on_first_sight(gateway_app: Flask) -> None:
    with gateway_app.app_context():
        templates.create({"budget_id": "free", "max_budget": 5})
        found = NamedCustomers("free", create=True).find("acme")
        assert found.limits is not None
        assert (found.customer_id, found.limits.max_budget) == ("acme", 5)


def test_a_known_customer_is_read_once(gateway_app: Flask) -> None:
    with gateway_app.app_context():
        customers.create({"user_id": "acme"})
        known = NamedCustomers(None, create=False)
        known.find("acme")
        with queries() as asked:
            assert known.find("acme").customer_id == "acme"
        assert asked == []


def test_without_the_template_a_name_becomes_nobody_and_is_refused(gateway_app: Flask) -> None:
    with gateway_app.app_context():
        with pytest.raises(Unavailable):
            NamedCustomers("free", create=True).find("acme")
        with pytest.raises(Unavailable):
            NamedCustomers("free", create=True).find("acme")


def test_a_block_is_looked_at_again_before_it_refuses(gateway_app: Flask) -> None:
    with gateway_app.app_context():
        customers.create({"user_id": "acme", "blocked": True})
        known = NamedCustomers(None, create=False)
        with pytest.raises(BlockedCustomer):
            known.find("acme")
        customers.change("acme", {"blocked": False})
        assert known.find("acme").customer_id == "acme"
