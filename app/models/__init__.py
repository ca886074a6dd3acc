"""The tables."""

from app.models.audit import AuditRow
from app.models.base import now
from app.models.customer import Customer
from app.models.deployment import StoredDeployment
from app.models.key import FormerToken, VirtualKey
from app.models.ledger import Balance, DailySpend, DailyTag, LedgerCut, LedgerRow
from app.models.limits import LIMIT_NAMES, TEMPLATED, Budget, Credit, LimitColumns, TemplatedColumns
from app.models.team import Team, TeamMember
from app.models.user import User
from app.models.webhook import Webhook

__all__ = [
    "LIMIT_NAMES",
    "TEMPLATED",
    "AuditRow",
    "Balance",
    "Budget",
    "Credit",
    "Customer",
    "DailySpend",
    "DailyTag",
    "FormerToken",
    "LedgerCut",
    "LedgerRow",
    "LimitColumns",
    "StoredDeployment",
    "Team",
    "TeamMember",
    "TemplatedColumns",
    "User",
    "VirtualKey",
    "Webhook",
    "now",
]
