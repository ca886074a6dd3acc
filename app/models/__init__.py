"""The tables."""

from app.models.base import now
from app.models.key import VirtualKey
from app.models.ledger import Balance, DailySpend, LedgerCut, LedgerRow
from app.models.user import User

__all__ = ["Balance", "DailySpend", "LedgerCut", "LedgerRow", "User", "VirtualKey", "now"]
