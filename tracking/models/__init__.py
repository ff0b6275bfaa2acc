"""Every table. One file a concept; this is the whole list."""

from tracking.models.alerts import Alert, AlertRule, Delivery, Destination
from tracking.models.budgets import Budget, BudgetPeriod, LedgerEntry, LedgerRow, Reservation
from tracking.models.catalog import Price, PriceChange, Repricing
from tracking.models.checkpoints import Checkpoint, Rollback, StatePart
from tracking.models.credits import CreditAccount, CreditEntry
from tracking.models.definitions import AgentDefinition, AgentVersion, McpServer, MemoryNote
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
from tracking.models.jobs import Job, JobCall, JobRow
from tracking.models.queue import AgentJob, JobRun, JobSchedule, JobStep, Worker
from tracking.models.runs import Agent, Payload, Run, Span
from tracking.models.steering import Approval, DeadLetter, Poll, SharedValue
from tracking.models.teams import ApiKey, AuditEntry, Membership, Organization, Team, User
from tracking.models.usage import Drop, Usage, UsageDelta

__all__ = [
    "Agent",
    "AgentDefinition",
    "AgentJob",
    "AgentVersion",
    "Alert",
    "AlertRule",
    "ApiKey",
    "Approval",
    "AuditEntry",
    "Budget",
    "BudgetPeriod",
    "CacheDay",
    "Checkpoint",
    "Circuit",
    "CreditAccount",
    "CreditEntry",
    "Delivery",
    "DeadLetter",
    "Deployment",
    "Destination",
    "Drop",
    "Job",
    "JobCall",
    "JobRow",
    "JobRun",
    "JobSchedule",
    "JobStep",
    "KeptAnswer",
    "LedgerEntry",
    "LedgerRow",
    "McpServer",
    "Membership",
    "MemoryNote",
    "ModelAlias",
    "ModelGroup",
    "Organization",
    "Payload",
    "Poll",
    "Price",
    "PriceChange",
    "ProviderCredential",
    "Repricing",
    "Refusal",
    "Reservation",
    "Rollback",
    "Run",
    "RunControl",
    "SharedValue",
    "Span",
    "StatePart",
    "StoredResponse",
    "Team",
    "Usage",
    "UsageDelta",
    "User",
    "Worker",
]
