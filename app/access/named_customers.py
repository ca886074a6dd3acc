"""Whom a call is made for: the name that the caller gives to a frozen snapshot of that customer's limits."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from app.access import path, policy
from app.access.models_allowed import allows
from app.access.path import Limits
from app.errors import BlockedCustomer, Unavailable
from app.extensions import database_errors, db, write_transaction
from app.models import Budget, Customer

MOST_CUSTOMERS = 50_000
# Edited when an admin makes customers: names that were nobody's may be somebody's now.
ALL_CUSTOMERS = "customers"


@dataclass(frozen=True, slots=True)
class NamedCustomer:
    """A snapshot of the customer that a call names; `customer_id` None: the name is no customer's, and has no limits.

    `policies` are (Redis key, policy version) pairs under which the snapshot is current.
    """

    customer_id: str | None = None
    models: tuple[str, ...] = ()
    blocked: bool = False
    limits: Limits | None = None
    policies: tuple[tuple[str, str], ...] = ()

    def may_use(self, model: str, groups: frozenset[str]) -> bool:
        """Whether the customer's list allows `model`, which is in the access groups `groups`."""
        return allows(self.models, model, groups)

    def check_open(self) -> None:
        """Raises BlockedCustomer."""
        if self.blocked:
            raise BlockedCustomer(
                f"Customer '{self.customer_id}' is blocked. An admin can open it with /customer/unblock."
            )


class NamedCustomers:
    """The snapshots that a process keeps, by name."""

    def __init__(self, template: str | None, *, create: bool) -> None:
        """With `create` a name becomes a customer on first sight, with the budget template `template` if it is set."""
        self._template = template
        self._create = create
        self._kept: dict[str, NamedCustomer] = {}

    def find(self, name: str, *, fresh: bool = False) -> NamedCustomer:
        """The customer of a name; `fresh` after admission has said that the kept snapshot is stale.

        Raises BlockedCustomer, LimitsUnavailable, DatabaseUnavailable; Unavailable where the template is missing.
        """
        kept = None if fresh else self._kept.get(name)
        if kept is not None and not kept.blocked:
            return kept
        customer = self._load(name)
        customer.check_open()
        return customer

    def _load(self, name: str) -> NamedCustomer:
        self._kept.pop(name, None)
        _, subjects = _read(name)
        if subjects == [ALL_CUSTOMERS] and self._create:
            _make(name, self._template)
            _, subjects = _read(name)
        # Versions first, as for callers. A name that is nobody's has no policy of its own: there may be very many.
        versions = policy.versions(subjects)
        customer, again = _read(name)
        pairs = tuple((policy.policy_key(one), version) for one, version in zip(subjects, versions, strict=True))
        found = NamedCustomer(customer.customer_id, customer.models, customer.blocked, customer.limits, pairs)
        if again == subjects and all(policy.is_settled(version) for version in versions):
            while len(self._kept) >= MOST_CUSTOMERS:
                self._kept.pop(next(iter(self._kept)))
            self._kept[name] = found
        return found


def _read(name: str) -> tuple[NamedCustomer, list[str]]:
    """The snapshot without its policies, and whose edits change it."""
    with database_errors():
        session = db.session()
        row = session.scalar(sa.select(Customer).where(Customer.customer_id == name))
        if row is None:
            session.rollback()
            return NamedCustomer(), [ALL_CUSTOMERS]
        (limits,) = path.limits_of(session, [row]).values()
        found = NamedCustomer(row.customer_id, tuple(row.models), row.blocked, limits)
        subjects = [f"customer:{row.customer_id}"] + ([] if row.budget_id is None else [f"budget:{row.budget_id}"])
        session.expunge_all()
        session.rollback()
    return found, subjects


def _make(name: str, template: str | None) -> None:
    """Two processes that see a new name at once both find one customer."""
    try:
        with write_transaction() as session:
            if template is not None and session.get(Budget, template) is None:
                raise Unavailable(
                    f"There is no budget '{template}', which new customers are to have "
                    "(litellm_settings.max_end_user_budget_id). An admin can make it with /budget/new."
                )
            session.add(Customer(customer_id=name, budget_id=template))
    except IntegrityError:
        return
