"""An agent: a name that is charged, its instructions, its tools. Executors run one, or a plain prompt, and answer in text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from wflo.agents import steps
from wflo.agents.client import Client, ToolExecutionResult
from wflo.agents.conversation import SystemPrompt
from wflo.agents.tools import Tool


class Executor(Protocol):
    """Whatever answers a question in text: what workflows are made of."""

    async def execute(self, query: str) -> str: ...


@dataclass(slots=True)
class Agent:
    """``model`` None: the settings' default. ``options`` are the provider's own, and fields of client.Setup."""

    name: str
    description: str = ""
    system_prompt: str | SystemPrompt = ""
    tools: Sequence[Callable[..., Any] | Tool] = ()
    max_tool_iterations: int = 10
    model: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError("An agent has a name: costs are charged to it.")

    def client(self) -> Client:
        """A conversation with it, empty yet."""
        return Client(
            self.model,
            self.system_prompt or None,
            list(self.tools),
            self.max_tool_iterations,
            agent=self.name,
            **self.options,
        )

    async def run(self, query: str) -> ToolExecutionResult:
        """One question, with nothing remembered."""
        with steps.acting_as(self.name):
            return await self.client().complete(query)


class GenericAgent(Agent):
    """An agent for whatever comes."""

    def __init__(self, **changes: Any) -> None:
        given: dict[str, Any] = {
            "name": "Generic Agent",
            "description": "A generic agent that can use tools to help with tasks.",
            "system_prompt": "You are a capable general-purpose assistant. Use the tools you are offered when they help;"
            " say plainly what you do not know.",
        }
        super().__init__(**{**given, **changes})


class SimpleExecutor:
    """A model, a prompt and tools. Each question stands alone; ``last`` is how the latest answer came about."""

    def __init__(
        self, model: str | None = None, system_prompt: str | None = None, tools: Sequence[Callable[..., Any] | Tool] | None = None,
        max_tool_iterations: int | None = None, **more: Any,
    ) -> None:  # fmt: skip
        self._arguments = (model, system_prompt, list(tools or ()), max_tool_iterations)
        self._more = more
        self.last: ToolExecutionResult | None = None

    async def execute(self, query: str) -> str:
        """Raises LLMError."""
        self.last = await Client(*self._arguments, **dict(self._more)).complete(query)
        return self.last.final_response


class AgentExecutor:
    """An agent as an executor. Each question stands alone; ``last`` is how the latest answer came about."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.last: ToolExecutionResult | None = None

    async def execute(self, query: str) -> str:
        """Raises LLMError."""
        self.last = await self.agent.run(query)
        return self.last.final_response
