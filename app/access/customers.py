"""Customers: made, changed, blocked, deleted and found."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from app.access import callers, rows
from app.access.named_customers import ALL_CUSTOMERS
from app.access.rows import Page
from app.errors import NotFound
from app.extensions import database_errors, db, write_transaction
from app.models import TEMPLATED, Customer

COLUMNS = ("alias", "models", "blocked", "metadata", *TEMPLATED)


def create(fields: Mapping[str, Any]) -> Customer:
    """Makes a customer of a name. Raises Conflict, NotFound (budget), DatabaseUnavailable, LimitsUnavailable."""
    row = Customer(customer_id=fields["user_id"])
    rows.assign(row, COLUMNS, fields)
    with _changing([row.customer_id], new=True), write_transaction() as session:
        rows.check_references(session, fields)
        session.add(row)
        rows.let_go(session, row)
    return row


def change(customer_id: str, changes: Mapping[str, Any]) -> Customer:
    """Changes the fields that are given; None clears one. Raises NotFound and what `create` raises."""
    return change_all([customer_id], changes)[0]


def change_all(customer_ids: Collection[str], changes: Mapping[str, Any]) -> list[Customer]:
    """The same change for several customers, for all of them or none."""
    wanted = sorted(set(customer_ids))
    changed = []
    with _changing(wanted), write_transaction() as session:
        rows.check_references(session, changes)
        for customer_id in wanted:
            row = session.get(Customer, customer_id, with_for_update=True)
            if row is None:
                raise _unknown(customer_id)
            rows.assign(row, COLUMNS, changes)
            rows.let_go(session, row)
            changed.append(row)
    return changed


def delete(customer_ids: Collection[str]) -> int:
    """Deletes customers, all of them or none; gives how many. What was spent for them stays in the ledger."""
    wanted = sorted(set(customer_ids))
    with _changing(wanted), write_transaction() as session:
        for customer_id in wanted:
            row = session.get(Customer, customer_id, with_for_update=True)
            if row is None:
                raise _unknown(customer_id)
            session.delete(row)
    return len(wanted)


def find(customer_id: str) -> Customer:
    """A customer by id. Raises NotFound, DatabaseUnavailable."""
    with database_errors():
        row = db.session.get(Customer, customer_id)
        db.session.expunge_all()
        db.session.rollback()
    if row is None:
        raise _unknown(customer_id)
    return row


def listed(page: Page, *, search: str | None = None, budget_id: str | None = None) -> tuple[Sequence[Customer], int]:
    """One page of customers, and how many there are; `search` is any part of the id or alias.

    Raises DatabaseUnavailable.
    """
    wanted: list[sa.ColumnElement[bool]] = []
    if search is not None:
        columns = (Customer.customer_id, Customer.alias)
        wanted.append(sa.or_(*(column.icontains(search, autoescape=True) for column in columns)))
    if budget_id is not None:
        wanted.append(Customer.budget_id == budget_id)
    return rows.listed(Customer, wanted, page)


@contextmanager
def _changing(customer_ids: Sequence[str], *, new: bool = False) -> Iterator[None]:
    """Around a transaction on customers. A `new` one may have been kept as a name that is nobody's."""
    subjects = [f"customer:{customer_id}" for customer_id in customer_ids]
    with callers.invalidating(subjects + [ALL_CUSTOMERS] * new), rows.unique_names():
        yield


def _unknown(customer_id: str) -> NotFound:
    return NotFound(f"There is no customer '{customer_id}'. Make one with /customer/new.", param="user_id")
