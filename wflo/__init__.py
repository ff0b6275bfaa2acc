"""Wflo: see, pay for and steer your AI agents.

    from wflo import WfloWorkflow, checkpoint, track_llm_call, track_tool_call

    @track_tool_call
    def search_web(query: str) -> list[str]: ...

    @checkpoint
    @track_llm_call(model="gpt-4o-mini")
    async def research(topic: str): ...

    flow = WfloWorkflow(budget_usd=2.00)
    await flow.execute(research, {"topic": "quantum computing"})
    flow.get_cost_breakdown()

With WFLO_ENDPOINT and WFLO_API_KEY set, or ``configure(endpoint=..., api_key=...)``, what happens is seen in Wflo while it
happens, and what people decide there (stop, go back, approve) reaches the agent at its next step. Without them all of it
works within the process. No Django, no dependencies; frameworks are imported only by their own module in
``wflo.integrations``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wflo.spans import Kind, Rejected, Span, Status
from wflo.usage import Usage

if TYPE_CHECKING:
    from wflo.agent_messages import messages, send_message
    from wflo.approvals import approval_gate, await_approval, request_approval, wait_for_approval
    from wflo.breakers import circuit_breaker, circuit_breaker_per_agent
    from wflo.checkpoints import checkpoint
    from wflo.config import Config, configure
    from wflo.consensus import ConsensusVoting, consensus_vote
    from wflo.contention import detect_contention
    from wflo.context import current_run, headers
    from wflo.decorators import enforce_budget, track_agent_cost, track_llm_call, track_tool_call
    from wflo.errors import (
        AgentBudgetExceededError,
        ApprovalRequiredError,
        BudgetExceededError,
        CheckpointError,
        CircuitBreakerOpenError,
        CircuitOpenError,
        ContentionDetectedError,
        InfiniteLoopDetectedError,
        RateLimitExceededError,
        RetryExhaustedError,
        RollbackRequestedError,
        RunKilledError,
        ServerError,
        TimeBudgetExceededError,
        WfloError,
    )
    from wflo.exporter import flush
    from wflo.instrumenting import instrument
    from wflo.jobs import Job, find_job, fork, roll_back, start_job
    from wflo.letters import dead_letters, on_dead_letter, take_dead_letters
    from wflo.looping import detect_infinite_loop
    from wflo.reading_usage import usage_of
    from wflo.retry import with_retry
    from wflo.run_block import run
    from wflo.shared_state import SharedState
    from wflo.workflow import WfloAgent, WfloWorkflow, with_wflo

__version__ = "0.1.0"

# Where each public name lives. It is imported when it is first asked for: agents start sooner.
_HOMES = {
    "wflo.agent_messages": "messages send_message",
    "wflo.approvals": "approval_gate await_approval request_approval wait_for_approval",
    "wflo.breakers": "circuit_breaker circuit_breaker_per_agent",
    "wflo.checkpoints": "checkpoint",
    "wflo.config": "Config configure",
    "wflo.consensus": "ConsensusVoting consensus_vote",
    "wflo.contention": "detect_contention",
    "wflo.context": "current_run headers",
    "wflo.jobs": "Job find_job fork roll_back start_job",
    "wflo.letters": "dead_letters on_dead_letter take_dead_letters",
    "wflo.decorators": "enforce_budget track_agent_cost track_llm_call track_tool_call",
    "wflo.errors": "AgentBudgetExceededError ApprovalRequiredError BudgetExceededError CheckpointError"
    " CircuitBreakerOpenError CircuitOpenError ContentionDetectedError InfiniteLoopDetectedError RateLimitExceededError"
    " RetryExhaustedError RollbackRequestedError RunKilledError ServerError TimeBudgetExceededError WfloError",
    "wflo.exporter": "flush",
    "wflo.instrumenting": "instrument",
    "wflo.looping": "detect_infinite_loop",
    "wflo.reading_usage": "usage_of",
    "wflo.retry": "with_retry",
    "wflo.run_block": "run",
    "wflo.shared_state": "SharedState",
    "wflo.workflow": "WfloAgent WfloWorkflow with_wflo",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = ["Kind", "Rejected", "Span", "Status", "Usage"]
__all__ += _HOME_OF


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'wflo' has no attribute {name!r}")
    found = getattr(import_module(home), name)
    globals()[name] = found
    return found
