"""A run of one's own, around any code.

with run("nightly report", budget_usd=2) as this:
    ...
this.used.whole.cost_usd

@run("nightly report")
async def report(): ...
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any, TypeVar

from wflo import recording
from wflo.context import Scope
from wflo.runs import Run
from wflo.wrapping import Call, Invocation, wrap

F = TypeVar("F", bound=Callable[..., Any])


class run:
    """``with``, ``async with`` or a decorator; each time it is entered it is a new run, ``id`` aside.

    ``id`` is your own name of the run (at most 128 characters), ``budget_usd`` what it may spend in this process, ``agent``
    who acts where nothing else says so; ``session_id``, ``user_id``, ``tags`` and ``metadata`` go with it. Raises ValueError.
    """

    def __init__(
        self,
        name: str = "",
        *,
        id: str | None = None,
        agent: str = "",
        budget_usd: float | str | Decimal | None = None,
        per_agent_budgets: Mapping[str, float | str | Decimal] | None = None,
        seconds_max: float | None = None,
        parent_run_id: str = "",
        session_id: str = "",
        user_id: str = "",
        tags: list[str] | tuple[str, ...] = (),
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        if id is not None and not 0 < len(id) <= 128:
            raise ValueError("id: 1 to 128 characters")
        self._id = id
        self._limits: dict[str, Any] = {
            "name": name,
            "budget_usd": None if budget_usd is None else Decimal(str(budget_usd)),
            "seconds_max": seconds_max,
        }
        self._agents = {agent: Decimal(str(value)) for agent, value in (per_agent_budgets or {}).items()}
        facts = {"session_id": session_id, "user_id": user_id, "tags": list(tags), "metadata": dict(metadata or {})}
        self._facts: dict[str, Any] = {
            "agent": agent,
            "parent_run_id": parent_run_id,
            **{k: v for k, v in facts.items() if v},
        }
        self._entered: list[AbstractContextManager[Run]] = []

    def _new(self) -> Run:
        made = Run(agent_budgets=dict(self._agents), **self._limits)
        if self._id is not None:
            made.id = self._id
        return made

    def __enter__(self) -> Run:
        block = recording.running(self._new(), **self._facts)
        self._entered.append(block)
        return block.__enter__()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._entered.pop().__exit__(kind, error, trace)

    async def __aenter__(self) -> Run:
        return self.__enter__()

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, target: F) -> F:
        def habit(invocation: Invocation) -> Generator[Any, Any, Any]:
            made = self._new()
            agent = str(self._facts["agent"])
            recording.opened(made, input=invocation.arguments(), **self._facts)
            pieces: list[Any] = []
            try:
                result = yield Call(Scope(made, "", agent), pieces.append)
            except BaseException as error:
                recording.closed(made, error=None if isinstance(error, GeneratorExit) else error)
                raise
            recording.closed(made, output=pieces or result)
            return result

        wrapped: F = wrap(target, habit)
        return wrapped
