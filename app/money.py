"""Integer nano-dollars: the one rounding rule, to and from JSON.

Inside Tollgate money is an `int` of nano-dollars (10⁻⁹ $), in SQL, Redis and Python alike. JSON shows dollars.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

NANO_PER_DOLLAR = 1_000_000_000

# Redis scripts count in IEEE doubles, exact up to 2**53 nano-dollars, and JSON's dollars are doubles, a nano-dollar
# apart up to 2**23. A budget above this could not be kept, or not be shown, to the nano-dollar, so it is refused.
MAX_BUDGET_DOLLARS = 8_000_000


def budget_from_json(value: float | Decimal) -> int:
    """Dollars from a request to nano-dollars.

    A positive budget below one nano-dollar counts as one, so that it does not turn into "no spending".

    Raises ValueError, worded for the caller, for a negative, infinite or too large amount.
    """
    dollars = value if isinstance(value, Decimal) else Decimal(repr(value))
    if not dollars.is_finite() or dollars < 0:
        raise ValueError("Must be a number of dollars, 0 or more.")
    if dollars > MAX_BUDGET_DOLLARS:
        raise ValueError(f"Must be at most {MAX_BUDGET_DOLLARS} dollars.")
    nano = int((dollars * NANO_PER_DOLLAR).to_integral_value(ROUND_HALF_EVEN))
    return nano if nano or not dollars else 1


def to_json(nano: int) -> float:
    """Nano-dollars to dollars: the float nearest to the amount, which JSON prints as people write it."""
    return nano / NANO_PER_DOLLAR


def optional_to_json(nano: int | None) -> float | None:
    """As `to_json`; None stays None (no limit)."""
    return None if nano is None else to_json(nano)


def shown(nano: int) -> str:
    """Nano-dollars for a message to people: "$1.00", "$0.000000150"."""
    whole, part = divmod(abs(nano), NANO_PER_DOLLAR)
    digits = f"{part:09d}".rstrip("0").ljust(2, "0")
    return f"{'-' if nano < 0 else ''}${whole}.{digits}"
