"""What the library raises into an agent, and nothing else: its own faults it keeps to itself.

WfloError
├── BudgetExceededError           a budget is spent; ``answer`` is what was paid for last
│   └── AgentBudgetExceededError  the budget of one agent
├── TimeBudgetExceededError       the run has lasted as long as it may
├── RunKilledError                somebody stopped the run
├── RollbackRequestedError        somebody wants the run to go on from a checkpoint
├── CircuitOpenError              the component is given a rest
├── InfiniteLoopDetectedError     the run goes round in circles
├── RetryExhaustedError           it failed as often as it may
├── ContentionDetectedError       too many wait for a resource
├── RateLimitExceededError        more calls than were allowed
├── ApprovalRequiredError         a person said no, or nobody said anything in time
├── CheckpointError               a state that cannot be kept, or is not there
└── ServerError                   Wflo's server refused, or is away

``code`` is the word that the server's doors use for the same thing. A message says what happened, why, and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar


class WfloError(Exception):
    """Something that the code around an agent should know of."""

    code: ClassVar[str] = "wflo_error"


class BudgetExceededError(WfloError):
    """A budget is spent. ``answer``: what the last call answered, which is paid for; None when no call was made."""

    code = "budget_exceeded"

    def __init__(
        self,
        message: str = "",
        *,
        spent_usd: Decimal | None = None,
        budget_usd: Decimal | None = None,
        answer: Any = None,
        last_checkpoint: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message or f"The budget of ${budget_usd} is spent (${spent_usd}). Raise it to go on.")
        self.spent_usd = spent_usd
        self.budget_usd = budget_usd
        self.answer = answer
        self.last_checkpoint = last_checkpoint


class AgentBudgetExceededError(BudgetExceededError):
    """The budget of one agent is spent."""

    def __init__(self, message: str = "", *, agent_name: str = "", **figures: Any) -> None:
        spent, budget = figures.get("spent_usd"), figures.get("budget_usd")
        super().__init__(
            message or f'The budget of agent "{agent_name}" of ${budget} is spent (${spent}). Raise it to go on.',
            **figures,
        )
        self.agent_name = agent_name


class TimeBudgetExceededError(WfloError):
    """The run has lasted as long as it may."""

    code = "run_limit_exceeded"

    def __init__(self, message: str = "", *, seconds: float = 0.0, budget_seconds: float = 0.0) -> None:
        super().__init__(message or f"The run has lasted {seconds:.1f} s of the {budget_seconds:g} s it may.")
        self.seconds = seconds
        self.budget_seconds = budget_seconds


class RunKilledError(WfloError):
    """Somebody stopped the run: no more calls are made for it."""

    code = "run_killed"

    def __init__(self, message: str = "", *, run_id: str = "", kill_reason: str = "") -> None:
        super().__init__(message or f"The run {run_id} was stopped: {kill_reason or 'no reason given'}.")
        self.run_id = run_id
        self.kill_reason = kill_reason


class RollbackRequestedError(WfloError):
    """Somebody wants the run to go on from a checkpoint. ``WfloWorkflow.execute`` does that; others catch this."""

    code = "rollback_requested"

    def __init__(
        self,
        *,
        run_id: str,
        rollback_id: str,
        checkpoint: Mapping[str, Any],
        reason: str = "",
        overrides: Mapping[str, Any] | None = None,
        budget_usd: Decimal | None = None,
    ) -> None:
        name, version = checkpoint.get("name"), checkpoint.get("version")
        super().__init__(
            f'The run {run_id} is to go on from checkpoint {version} ("{name}"): {reason or "no reason given"}.'
        )
        self.run_id = run_id
        self.rollback_id = rollback_id
        self.checkpoint = dict(checkpoint)
        self.reason = reason
        self.overrides = dict(overrides or {})
        self.budget_usd = budget_usd


class CircuitOpenError(WfloError):
    """The component failed too often and is given a rest. ``retry_after``: seconds until it may be asked again."""

    code = "circuit_open"

    def __init__(
        self, message: str = "", *, circuit_name: str = "", failure_count: int = 0, retry_after: float | None = None
    ) -> None:
        when = "" if retry_after is None else f" Try again in {retry_after:.1f} s."
        super().__init__(message or f'"{circuit_name}" is given a rest after {failure_count} failures.{when}')
        self.circuit_name = circuit_name
        self.failure_count = failure_count
        self.retry_after = retry_after


CircuitBreakerOpenError = CircuitOpenError


class InfiniteLoopDetectedError(WfloError):
    """The run goes round in circles. ``similarity`` is from 0 to 1, ``repeated_pattern`` for people."""

    code = "loop_detected"

    def __init__(
        self, message: str = "", *, iteration: int = 0, similarity: float = 0.0, repeated_pattern: str = ""
    ) -> None:
        super().__init__(message or f"The run repeats itself at step {iteration}: {repeated_pattern}.")
        self.iteration = iteration
        self.similarity = similarity
        self.repeated_pattern = repeated_pattern


class RetryExhaustedError(WfloError):
    """It failed as often as it may. The last failure is ``last_exception``, and the cause."""

    code = "retry_exhausted"

    def __init__(self, message: str = "", *, attempts: int = 0, last_exception: BaseException | None = None) -> None:
        super().__init__(
            message or f"It failed {attempts} times, at last with {type(last_exception).__name__}: {last_exception}"
        )
        self.attempts = attempts
        self.last_exception = last_exception


class ContentionDetectedError(WfloError):
    """Too many wait for a resource, or for too long. ``wait_time`` is in seconds."""

    code = "contention"

    def __init__(
        self, message: str = "", *, resource_name: str = "", wait_time: float = 0.0, holders: Sequence[str] = ()
    ) -> None:
        held = f", held by {', '.join(holders)}" if holders else ""
        super().__init__(message or f'"{resource_name}" was not free within {wait_time:.1f} s{held}.')
        self.resource_name = resource_name
        self.wait_time = wait_time
        self.holders = list(holders)


class RateLimitExceededError(WfloError):
    """More calls than were allowed. ``retry_after``: seconds."""

    code = "rate_limited"

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message or "More calls than were allowed.")
        self.retry_after = retry_after


class ApprovalRequiredError(WfloError):
    """A person said no, or nobody said anything in time. ``status``: pending, rejected, expired or cancelled."""

    code = "approval_required"

    def __init__(
        self, message: str = "", *, approval_id: str = "", action: str = "", status: str = "pending", comment: str = ""
    ) -> None:
        said = f": {comment}" if comment else ""
        super().__init__(message or f'"{action}" was not approved ({status}{said}).')
        self.approval_id = approval_id
        self.action = action
        self.status = status
        self.comment = comment


class CheckpointError(WfloError):
    """A state that cannot be kept, or a checkpoint that is not there."""

    code = "checkpoint"


class ServerError(WfloError):
    """Wflo's server refused (``status`` is its answer's), or is away (``status`` 0)."""

    code = "server_error"

    def __init__(self, message: str, *, status: int = 0, server_code: str = "", field: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.server_code = server_code
        self.field = field

    @property
    def may_pass(self) -> bool:
        """Whether the same asked a moment later may be answered."""
        return self.status in (0, 408, 425, 429) or self.status >= 500
