"""Whom a call is made for: the name that the caller gives to a frozen snapshot of that customer's limits."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from app.access import path, policy, rows
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


@dataclass(frozen=True, slots=True)
class Strangers:
    """Names that were looked for while one policy version of ALL_CUSTOMERS stood, and were nobody's.

    `all_names`: there was no customer at all, so every name is nobody's.
    """

    version: str = ""
    all_names: bool = False
    names: set[str] = field(default_factory=set)

    def snapshot(self) -> NamedCustomer:
        """What any of these names stands for."""
        return NamedCustomer(policies=((policy.policy_key(ALL_CUSTOMERS), self.version),))

    def have(self, name: str) -> bool:
        """Whether the name is known to be nobody's."""
        return self.all_names or name in self.names


class NamedCustomers:
    """The snapshots that a process keeps, by name."""

    def __init__(self, template: str | None, *, create: bool) -> None:
        """With `create` a name becomes a customer on first sight, with the budget template `template` if it is set."""
        self._template = template
        self._create = create
        self._kept: dict[str, NamedCustomer] = {}
        self._strangers = Strangers()

    def find(self, name: str, *, fresh: bool = False) -> NamedCustomer:
        """The customer of a name; `fresh` after admission has said that the kept snapshot is stale.

        Raises BlockedCustomer, LimitsUnavailable, DatabaseUnavailable; Unavailable where the template is missing.
        """
        if not fresh:
            kept = self._kept.get(name)
            if kept is not None and not kept.blocked:
                return kept
            strangers = self._strangers
            if kept is None and strangers.have(name):
                return strangers.snapshot()
        customer = self._load(name)
        customer.check_open()
        return customer

    def _load(self, name: str) -> NamedCustomer:
        self._kept.pop(name, None)
        # Versions first, as for callers. A name that is nobody's has no policy of its own: there may be very many.
        (version,) = policy.versions([ALL_CUSTOMERS])
        strangers = self._strangers
        if strangers.version == version and strangers.have(name):
            return strangers.snapshot()
        customer, subjects = _read(name)
        if customer.customer_id is None and self._create:
            _make(name, self._template)
            customer, subjects = _read(name)
            if customer.customer_id is None:
                raise Unavailable("This customer was just made and is deleted already. Try again.")
        if customer.customer_id is None:
            return self._stranger(name, version)
        versions = policy.versions(subjects)
        customer, again = _read(name)
        pairs = tuple((policy.policy_key(one), version) for one, version in zip(subjects, versions, strict=True))
        found = replace(customer, policies=pairs)
        if again == subjects and all(policy.is_settled(version) for version in versions):
            while len(self._kept) >= MOST_CUSTOMERS:
                self._kept.pop(next(iter(self._kept)))
            self._kept[name] = found
        return found

    def _stranger(self, name: str, version: str) -> NamedCustomer:
        """Keeps a name that is nobody's, while `version` of ALL_CUSTOMERS stands, which was read before the rows."""
        strangers = self._strangers
        if strangers.version != version or len(strangers.names) >= MOST_CUSTOMERS:
            strangers = Strangers(version, all_names=not _any_customer())
        strangers.names.add(name)
        if policy.is_settled(version):
            self._strangers = strangers
        return strangers.snapshot()


def _any_customer() -> bool:
    with database_errors():
        found = db.session.scalar(sa.select(Customer.customer_id).limit(1))
        db.session.rollback()
    return found is not None


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
            if template is not None and not rows.exists(session, Budget, template):
                raise Unavailable(
                    f"There is no budget '{template}', which new customers are to have "
                    "(litellm_settings.max_end_user_budget_id). An admin can make it with /budget/new."
                )
            session.add(Customer(customer_id=name, budget_id=template))
    except IntegrityError:
        return
