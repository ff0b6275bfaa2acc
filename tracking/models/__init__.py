"""Every table. One file a concept; this is the whole list."""

from tracking.models.alerts import Alert, AlertRule, Delivery, Destination
from tracking.models.budgets import Budget, BudgetPeriod, LedgerEntry, LedgerRow, Reservation
from tracking.models.catalog import Price, PriceChange, Repricing
from tracking.models.credits import CreditAccount, CreditEntry
from tracking.models.gateway import (
    CacheDay,
    Circuit,
    Deployment,
    KeptAnswer,
    ModelAlias,
    ModelGroup,
    ProviderCredential,
    Refusal,
    RunControl,
    StoredResponse,
)
from tracking.models.jobs import Job, JobCall
from tracking.models.runs import Agent, Payload, Run, Span
from tracking.models.teams import ApiKey, AuditEntry, Membership, Organization, Team, User
from tracking.models.usage import Usage, UsageDelta

__all__ = [
    "Agent",
    "Alert",
    "AlertRule",
    "ApiKey",
    "AuditEntry",
    "Budget",
    "BudgetPeriod",
    "CacheDay",
    "Circuit",
    "CreditAccount",
    "CreditEntry",
    "Delivery",
    "Deployment",
    "Destination",
    "Job",
    "JobCall",
    "KeptAnswer",
    "LedgerEntry",
    "LedgerRow",
    "Membership",
    "ModelAlias",
    "ModelGroup",
    "Organization",
    "Payload",
    "Price",
    "PriceChange",
    "ProviderCredential",
    "Repricing",
    "Refusal",
    "Reservation",
    "Run",
    "RunControl",
    "Span",
    "StoredResponse",
    "Team",
    "Usage",
    "UsageDelta",
    "User",
]
