"""Credit: money on top of a budget, in the window that is open now."""

from __future__ import annotations

import secrets

from sqlalchemy.orm import Session

from app import meter_names
from app.access import callers, keys, path
from app.access.path import Limits
from app.errors import BadRequest, Conflict, NotFound
from app.extensions import write_transaction
from app.models import Credit, now


def give(meter: str, amount: int, reason: str | None = None, credit_id: str | None = None) -> Limits:
    """Adds `amount` nano-dollars to what a meter may spend in its present window; gives its limits afterwards.

    A negative amount takes credit back. The same `credit_id` again changes nothing. The ledger stays as it is.
    Raises NotFound, BadRequest (no budget), Conflict (the id stands for another credit), DatabaseUnavailable,
    LimitsUnavailable.
    """
    credit = Credit(id=credit_id or "crd_" + secrets.token_hex(12), meter=meter, amount=amount, reason=reason)
    with callers.invalidating([_subject(meter)]), write_transaction() as session:
        limits = _limits(session, meter)
        credit.window_start = limits.window_start(now().timestamp())
        known = session.get(Credit, credit.id)
        if known is None:
            session.add(credit)
            session.flush()
            limits = _limits(session, meter)
        elif (known.meter, known.amount) != (meter, amount):
            raise Conflict("This id stands for another credit.", param="id")
    kind, *rest = meter_names.parts(meter)
    keys.look_again(rest[0] if kind == "user" else None)
    return limits


def _limits(session: Session, meter: str) -> Limits:
    found = path.limits_by_meter(session, [meter]).get(meter)
    if found is None:
        raise NotFound(f"There is no {meter_names.parts(meter)[0]} of that id.")
    if found.max_budget is None:
        raise BadRequest(f"{found.whose} has no budget that credit could be added to.", param="amount")
    return found


def _subject(meter: str) -> str:
    """Whose edit changes what the meter may do."""
    kind, *rest = meter_names.parts(meter)
    if kind == meter_names.GATEWAY:
        raise BadRequest("The gateway's budget stands in config.yaml; it takes no credit.")
    kind = "team" if kind == "team_member" else kind.removesuffix("_model")
    return f"{kind}:{rest[0]}"
