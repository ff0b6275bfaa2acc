"""What was used: of a run, and of each agent in it. Sums that many threads add to at once."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from wflo.usage import Usage


@dataclass(slots=True)
class Tally:
    """``cost_usd`` is of the calls whose price is known; ``unpriced_calls`` are the others."""

    cost_usd: Decimal = Decimal(0)
    unpriced_calls: int = 0
    llm_calls: int = 0
    call_ms: float = 0.0  # of the calls of models, added up
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    tool_calls: int = 0
    tool_counts: dict[str, int] = field(default_factory=dict)

    def add_call(self, usage: Usage | None, cost_usd: Decimal | None, *, ms: float, is_error: bool) -> None:
        self.llm_calls += 1
        self.call_ms += ms
        self.errors += is_error
        if usage is not None:
            self.input_tokens += usage.input_tokens or 0
            self.output_tokens += usage.output_tokens or 0
        if cost_usd is not None:
            self.cost_usd += cost_usd
        elif not is_error or usage is not None:
            self.unpriced_calls += 1

    def add_tool(self, name: str, *, is_error: bool) -> None:
        self.tool_calls += 1
        self.errors += is_error
        self.tool_counts[name] = self.tool_counts.get(name, 0) + 1

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens


class Tallies:
    """A run's whole, and its agents'."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.whole = Tally()
        self.agents: dict[str, Tally] = {}

    def add_call(
        self, agent: str, usage: Usage | None, cost_usd: Decimal | None, *, ms: float = 0.0, is_error: bool = False
    ) -> None:
        with self._lock:
            for tally in self._of(agent):
                tally.add_call(usage, cost_usd, ms=ms, is_error=is_error)

    def add_tool(self, agent: str, name: str, *, is_error: bool = False) -> None:
        with self._lock:
            for tally in self._of(agent):
                tally.add_tool(name, is_error=is_error)

    def spent_usd(self, agent: str | None = None) -> Decimal:
        """Of the whole run, or of one agent."""
        tally = self.whole if agent is None else self.agents.get(agent)
        return Decimal(0) if tally is None else tally.cost_usd

    def _of(self, agent: str) -> tuple[Tally, ...]:
        return (self.whole, self.agents.setdefault(agent, Tally())) if agent else (self.whole,)

    def breakdown(self, budget_usd: Decimal | None) -> dict[str, Any]:
        """``total_usd, budget_usd, remaining_usd, exceeded, llm_calls, unpriced_calls, input_tokens, output_tokens,
        tool_calls, tool_counts``; money is Decimal, ``remaining_usd`` None without a budget."""
        with self._lock:
            whole = self.whole
            return {
                "total_usd": whole.cost_usd,
                "budget_usd": budget_usd,
                "remaining_usd": None if budget_usd is None else budget_usd - whole.cost_usd,
                "exceeded": budget_usd is not None and whole.cost_usd > budget_usd,
                "llm_calls": whole.llm_calls,
                "unpriced_calls": whole.unpriced_calls,
                "input_tokens": whole.input_tokens,
                "output_tokens": whole.output_tokens,
                "tool_calls": whole.tool_calls,
                "tool_counts": dict(whole.tool_counts),
            }

    def by_agent(self, budgets: dict[str, Decimal]) -> dict[str, dict[str, Any]]:
        """agent -> ``cost_usd, budget_usd, remaining_usd, total_tokens, api_calls, unpriced_calls, tool_calls``; an agent
        that has a budget and did nothing yet is there too."""
        with self._lock:
            return {
                name: _agent_row(self.agents.get(name, Tally()), budgets.get(name))
                for name in dict.fromkeys((*self.agents, *budgets))
            }


def _agent_row(tally: Tally, budget: Decimal | None) -> dict[str, Any]:
    return {
        "cost_usd": tally.cost_usd,
        "budget_usd": budget,
        "remaining_usd": None if budget is None else budget - tally.cost_usd,
        "total_tokens": tally.total_tokens,
        "api_calls": tally.llm_calls,
        "unpriced_calls": tally.unpriced_calls,
        "tool_calls": tally.tool_calls,
    }
