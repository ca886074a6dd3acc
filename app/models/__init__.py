"""The tables."""

from app.models.base import now
from app.models.key import VirtualKey
from app.models.ledger import Balance, LedgerRow
from app.models.user import User

__all__ = ["Balance", "LedgerRow", "User", "VirtualKey", "now"]
