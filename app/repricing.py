"""Pricing past calls again with the prices of today's deployments, and telling Redis what has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import lru_cache

from app.gateway.offers import price_of
from app.ledger import reprice
from app.ledger.price_list import price_for
from app.ledger.pricing import Price
from app.ledger.reprice import Filter, Page, Row
from app.limits import admission
from app.limits.admission import Balance
from app.model_list import Deployment
from app.price_names import Stated
from app.queue import BUDGETS, send
from app.vendors import VENDORS


def run(deployments: Iterable[Deployment], default: Stated, wanted: Filter, *, dry_run: bool) -> Iterator[Page]:
    """Prices calls again, page by page. Raises DatabaseUnavailable, LimitsUnavailable.

    `default` is the price of models that have no other. Users whose spend has changed are looked at by the worker.
    """
    for page in reprice.pages(wanted, prices(deployments, default), dry_run=dry_run):
        if page.settled:
            told = [Balance(*window, one.spend, one.version) for window, one in sorted(page.settled.items())]
            admission.settled(told, frozenset(), [], [])
        yield page
        if not dry_run:
            for user_id in sorted({change.row["user_id"] for change in page.changes} - {None}):
                send(BUDGETS, user_id)


def prices(deployments: Iterable[Deployment], default: Stated) -> Callable[[Row], Price | None]:
    """Gives the price of a ledger row at the time of its call.

    It is the price of its deployment, also of one that is off; else of one that serves the same model under the same
    name, where there is only one; else the list's. What a mock without a deployment was priced as, nobody knows.
    """
    by_id: dict[str, Deployment] = {}
    by_model: dict[tuple[str, str, str], list[Deployment]] = {}
    for one in deployments:
        by_id[one.id] = one
        by_model.setdefault((one.model_name, one.provider, one.model), []).append(one)

    @lru_cache(maxsize=10_000)
    def at(deployment: Deployment, moment: datetime) -> Price | None:
        return price_of(deployment, moment)

    def of_row(row: Row) -> Price | None:
        started = row["started_at"]
        moment = started.replace(minute=started.minute // 15 * 15, second=0, microsecond=0)
        same = by_model.get((row["model_name"], row["provider"], row["model"]), [])
        deployment = by_id.get(row["deployment_id"]) or (same[0] if len(same) == 1 else None)
        if deployment is not None:
            # Behind a wildcard the row knows which model it was.
            return at(replace(deployment, model=row["model"]), moment)
        if row["provider"] == "mock" or same:
            return None
        vendor = VENDORS.get(row["provider"])
        lister = row["provider"] if vendor is None else vendor.prices
        return price_for(lister, row["model"], default=default, at=moment)

    return of_row
