"""Who takes part in a call: the caller, the customer it is for, the deployments that may serve it; their limits."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from app.access import routes_allowed
from app.access.callers import Caller, Callers
from app.access.named_customers import NamedCustomer, NamedCustomers
from app.access.path import Limits
from app.errors import ModelNotAllowed, NotFound, NotServed
from app.gateway.asked import Asked
from app.gateway.models import Known, Models
from app.gateway.offers import Offer, offer
from app.model_list import Deployment
from app.routing.catalog import Catalog
from app.routing.choose import order
from app.settings import Settings

NOBODY = NamedCustomer()
# For so many callers it is kept what their models are.
MOST_KEPT = 4096
# The settings that snapshots of callers, and those of customers, are made with.
OF_CALLERS = ("master_key", "gateway_limits", "timezone", "week_start")
OF_CUSTOMERS = ("customer_template", "create_customers", "timezone", "week_start")


@dataclass(slots=True)
class Parties:
    """What admission has to know. `asked` has the model that an alias stands for; `offers` stand as they are tried.

    `limits` are in the order of meter_names.KINDS; `policies` are (Redis key, policy version) pairs under which all
    this is current.
    """

    caller: Caller
    customer: NamedCustomer
    asked: Asked
    offers: Sequence[Offer]
    limits: tuple[Limits, ...]
    known: Known

    @property
    def policies(self) -> tuple[tuple[str, str], ...]:
        """Those of the caller, of the customer and of the catalog."""
        return self.caller.policies + self.customer.policies + self.known.policies

    def without_requests(self, counted: frozenset[str]) -> Parties:
        """The same, for a model that stands in: the meters that have counted the request do not count it again."""
        if not counted:
            return self
        limits = tuple(replace(one, rpm=None) if one.meter in counted else one for one in self.limits)
        return replace(self, limits=limits)

    @property
    def tags(self) -> list[str]:
        """The key's and the request's, each once."""
        return list(dict.fromkeys((*self.caller.tags, *self.asked.tags)))


@dataclass(slots=True)
class _Access:
    """What a caller's name for a model stands for, by which names and groups lists may allow it, and its limits."""

    model: str
    names: frozenset[str]
    groups: frozenset[str]
    limits: tuple[Limits, ...]
    allowed: bool = False

    def allows(self, one: Caller | NamedCustomer) -> bool:
        """Whether somebody's lists of models have it."""
        return any(one.may_use(name, self.groups) for name in self.names)


class Finder:
    """Finds the parties of calls. A snapshot never refuses before it has been looked at again."""

    def __init__(
        self,
        settings: Settings,
        models: Models,
        callers: Callers | None = None,
        customers: NamedCustomers | None = None,
    ) -> None:
        """Opens no connection. `callers` and `customers` are kept from before; None: nobody is known yet."""
        self._settings = settings
        self._callers = callers or Callers(settings.master_key)
        self._customers = customers or NamedCustomers(settings.customer_template, create=settings.create_customers)
        self._models = models
        self._router = settings.router
        self._random = random.Random()  # noqa: S311 - spreads load, keeps no secret
        # Snapshots and catalogs are never changed, so this is the same for every call of a caller's.
        self._access = lru_cache(maxsize=MOST_KEPT)(self._find_access)

    def under(self, settings: Settings, models: Models) -> Finder:
        """The same under other settings. Snapshots that were made with what has changed are forgotten."""
        callers = self._callers if _same(OF_CALLERS, settings, self._settings) else None
        customers = self._customers if _same(OF_CUSTOMERS, settings, self._settings) else None
        return Finder(settings, models, callers, customers)

    def caller(self, secret: str) -> Caller:
        """Who calls. Raises NotAuthenticated, ExpiredKey, BlockedKey, LimitsUnavailable, DatabaseUnavailable."""
        return self._callers.find(secret)

    def find(self, secret: str, asked: Asked, *, fresh: bool, caller: Caller | None = None) -> Parties:
        """Everybody; `fresh` after admission has said that a snapshot is stale. `caller` is who was found just now.

        Raises NotAuthenticated, NotAllowed, NotFound, Unavailable and what is below them.
        """
        caller = caller or self._callers.find(secret, fresh=fresh)
        try:
            return self._among_models(caller, asked, fresh=fresh)
        except (ModelNotAllowed, routes_allowed.RouteNotAllowed):
            if fresh or caller.is_master:
                raise
            return self._among_models(self._callers.find(secret, fresh=True), asked, fresh=True)

    def imagined(self, caller: Caller, asked: Asked) -> Parties:
        """Everybody, for a call that nobody makes. Raises what `find` raises."""
        caller.check_open()
        return self._among_models(caller, asked, fresh=True)

    def _among_models(self, caller: Caller, asked: Asked, *, fresh: bool) -> Parties:
        known = self._models.again() if fresh else self._models.kept()
        try:
            return self._with(caller, asked, known, fresh=fresh)
        except (ModelNotAllowed, NotFound):
            looked = self._models.look()
            if looked is known:
                raise
            return self._with(caller, asked, looked, fresh=fresh)

    def _with(self, caller: Caller, asked: Asked, known: Known, *, fresh: bool) -> Parties:
        routes_allowed.check_model_route(caller, asked.route)
        access = self._access(caller, asked.model, known.catalog)
        # Limits and the ledger know a model by one name, whatever others it has.
        if access.model != asked.model:
            asked = replace(asked, model=access.model)
        customer = NOBODY if asked.end_user is None else self._customers.find(asked.end_user, fresh=fresh)
        if not access.allowed or (customer is not NOBODY and not access.allows(customer)):
            raise ModelNotAllowed(
                f"The model '{asked.model}' is not available for this API key, or does not exist. "
                "GET /v1/models lists what is.",
                param="model",
            )
        limits = access.limits
        if customer.limits is not None:
            # The gateway's own stand last.
            limits = (*limits[:-1], customer.limits, limits[-1])
        return Parties(caller, customer, asked, self._offers(asked, known.catalog), limits, known)

    def _find_access(self, caller: Caller, name: str, catalog: Catalog) -> _Access:
        named = caller.aliases.get(name, name)
        model = self._router.aliases.get(named, named)
        groups = catalog.access_groups(model)
        access = _Access(model, frozenset({named, model}), groups, caller.limits_for(model, groups))
        access.allowed = access.allows(caller)
        return access

    def _offers(self, asked: Asked, catalog: Catalog) -> list[Offer]:
        """The deployments behind the name that was asked for. Raises NotFound, NotServed."""
        group = catalog.group(asked.model)
        if not group:
            # Why it is off is the admin's to know: GET /model/info says it.
            state = "does not exist" if catalog.off_reason(asked.model) is None else "is switched off"
            raise NotFound(f"The model '{asked.model}' {state}.", param="model")
        offers = [offer(one) for one in order(group, self._router.strategy, _cost, self._random)]
        serving = [one for one in offers if asked.route in one.provider.formats]
        if not serving:
            raise NotServed(f"The model '{asked.model}' is not served on /v1/{asked.route}.", param="model")
        return serving


def _same(names: Sequence[str], one: Settings, other: Settings) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _cost(deployment: Deployment) -> float | None:
    """What an input and an output token of it cost together; None: nobody knows."""
    price = offer(deployment).price
    return None if price is None else price.base.input + price.base.output
