"""LangChain: chains, nodes of LangGraph, models, tools and retrievers, as spans of the run they are called in.

    graph.invoke(inputs, {"callbacks": [WfloCallbackHandler()]})      # this call
    undo = instrument_langchain()                                     # every call of this process

A step's parent is the one LangChain names, whatever thread it runs in; a Wflo decorator that is nearer comes between. Costs
are charged to the agent: the name given to ``create_agent``, else the outermost node of LangGraph, else who acts here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from langchain_core.callbacks.base import BaseCallbackHandler, BaseCallbackManager
from langchain_core.outputs import LLMResult
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tracers.context import register_configure_hook

from wflo import context, recording
from wflo.context import Scope
from wflo.integrations import langchain_reading as reading
from wflo.recording import OpenSpan
from wflo.runs import Run
from wflo.spans import Kind

_everywhere: ContextVar[BaseCallbackHandler | None] = ContextVar("wflo_langchain", default=None)
_call: ContextVar[_Step | None] = ContextVar("wflo_langchain_call", default=None)  # may be over: nobody resets it
_is_hooked = False


def instrument_langchain() -> Callable[[], None]:
    """Have every call made from here on recorded, in this thread and in what copies its context; what undoes it."""
    global _is_hooked
    if not _is_hooked:
        register_configure_hook(_everywhere, inheritable=True, handle_class=WfloCallbackHandler)
        _is_hooked = True
    token = _everywhere.set(WfloCallbackHandler())
    return lambda: _everywhere.reset(token)


async def execute(target: Any, inputs: Any, flow: Any) -> Any:
    """Run a chain to its end, for ``WfloWorkflow``."""
    return await target.ainvoke(inputs, {"callbacks": [WfloCallbackHandler()]})


@dataclass(slots=True)
class _Step:
    """One run of LangChain's that has begun. ``span`` is None where it is not told; its children then hang above it."""

    scope: Scope  # for what is called within
    entered: Scope | None  # what was entered last when it began: what is entered later is nearer than it
    is_nearer: bool = False  # than LangChain's parent: a decorator
    is_open: bool = True
    span: OpenSpan | None = None
    model: str = ""
    provider: str = ""
    texts: list[str] = field(default_factory=list)
    own_run: Run | None = None


class WfloCallbackHandler(BaseCallbackHandler):
    """One may be used for any number of calls, in any number of threads.

    Before a model is called its budgets are looked at, and whether somebody stopped the run: BudgetExceededError,
    RunKilledError and RollbackRequestedError reach whoever called the chain or graph. After it they are looked at again.
    """

    raise_error = True
    run_inline = True  # in the caller's context, also where it is async

    def __init__(self) -> None:
        self._steps: dict[UUID, _Step] = {}

    def scope_of(self, run_id: UUID | None, entered: Scope | None) -> Scope | None:
        """For what is called within a run of LangChain's; None where something that was entered is nearer."""
        step = None if run_id is None else self._steps.get(run_id)
        return step.scope if step is not None and step.entered is entered else None

    # --- chains and nodes -------------------------------------------------------------------------------------------------

    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        name = reading.name_of(serialized, kwargs) or "chain"
        step = self._entered(parent_run_id, name)
        is_node = (metadata or {}).get("langgraph_node") == name
        agent = reading.agent_of(metadata) or step.scope.agent
        self._steps[run_id] = step
        if parent_run_id is not None and not is_node and reading.is_plumbing(name, tags):
            return
        if is_node:
            step.scope.run.check_control()
        self._began(step, Kind.CHAIN, name, agent=agent, input=inputs)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self._ended(run_id, output=outputs)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._ended(run_id, error=None if reading.is_a_pause(error) else error)

    # --- models -----------------------------------------------------------------------------------------------------------

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[Any]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        asked = recording.safely(reading.messages_of, messages[0] if messages else [], default=None)
        self._model_began(asked, run_id, parent_run_id, metadata, kwargs)

    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._model_began(prompts[0] if prompts else None, run_id, parent_run_id, metadata, kwargs)

    def _model_began(
        self, asked: Any, run_id: UUID, parent: UUID | None, metadata: dict[str, Any] | None, kwargs: dict[str, Any]
    ) -> None:
        model, provider = reading.model_of(metadata, kwargs)
        name = f"chat {model}".strip()
        step = self._entered(parent, name)
        agent = step.scope.agent if step.is_nearer else reading.agent_of(metadata) or step.scope.agent
        try:
            step.scope.run.check(agent)
        except BaseException as error:
            self._closed(step, error)
            raise
        step.model, step.provider = model, provider
        self._steps[run_id] = step
        self._began(step, Kind.LLM, name, agent=agent, input=asked)
        _call.set(step)

    def on_llm_new_token(self, token: Any, *, run_id: UUID, **kwargs: Any) -> None:
        step = self._steps.get(run_id)
        if step is None:
            return
        step.is_open = False  # the pieces go to whoever asked for them, who is not within the call
        if isinstance(token, str) and token:
            step.texts.append(token)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        step = self._taken(run_id)
        if step is None or step.span is None:
            return
        told, message = recording.safely(reading.answer_of, response, default=reading.NOTHING)
        output = recording.safely(reading.said_by, message, default=None)
        recording.end_call(step.span, told, model=step.model, provider=step.provider, output=output)
        self._closed(step)
        step.span.run.check_spent(step.span.agent, message)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        step = self._taken(run_id)
        if step is None or step.span is None:
            return
        told, _ = recording.safely(reading.answer_of, kwargs.get("response"), default=reading.NOTHING)
        said = "".join(step.texts) or None
        recording.end_call(step.span, told, model=step.model, provider=step.provider, output=said, error=error)
        self._closed(step, error)

    # --- tools and retrievers ---------------------------------------------------------------------------------------------

    def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        inputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        name = reading.name_of(serialized, kwargs) or "tool"
        step = self._entered(parent_run_id, name)
        step.scope.run.check_control()
        self._steps[run_id] = step
        agent = reading.agent_of(metadata) or step.scope.agent
        told = input_str if inputs is None else inputs
        self._began(step, Kind.TOOL, name, agent=agent, input=told, tool=name, tool_call_id=kwargs.get("tool_call_id"))

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        span = self._ended(run_id, output=reading.result_of(output))
        if span is not None:
            span.run.used.add_tool(span.agent, span.name)
            span.run.check_loop()

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        is_pause = reading.is_a_pause(error)
        span = self._ended(run_id, error=None if is_pause else error)
        if span is not None and not is_pause:
            span.run.used.add_tool(span.agent, span.name, is_error=True)

    def on_retriever_start(
        self,
        serialized: dict[str, Any] | None,
        query: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        name = reading.name_of(serialized, kwargs) or "retriever"
        step = self._steps[run_id] = self._entered(parent_run_id, name)
        self._began(step, Kind.RETRIEVER, name, agent=reading.agent_of(metadata) or step.scope.agent, input=query)

    def on_retriever_end(self, documents: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self._ended(run_id, output=documents)

    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._ended(run_id, error=error)

    # --- steps ------------------------------------------------------------------------------------------------------------

    def _entered(self, parent_run_id: UUID | None, name: str) -> _Step:
        """Where a step begins: below its parent, or below what of ours is nearer; else in a run of its own."""
        above = self._steps.get(parent_run_id) if parent_run_id is not None else None
        last = context.entered_last()
        if above is not None:
            if last is None or last is above.entered:
                return _Step(above.scope, above.entered)
            return _Step(last, last, is_nearer=True)
        here = context.current()
        if here is not None:
            return _Step(here, last)
        run = Run(id=f"temp-{uuid4().hex}", name=name)
        recording.opened(run)
        return _Step(Scope(run), None, own_run=run)

    def _began(self, step: _Step, kind: Kind, name: str, *, agent: str, input: Any, **fields: Any) -> None:
        step.span = recording.begin(step.scope, kind, name, agent=agent, input=input, **fields)
        step.scope = step.span.scope

    def _taken(self, run_id: UUID) -> _Step | None:
        step = self._steps.pop(run_id, None)
        if step is not None:
            step.is_open = False
        return step

    def _ended(self, run_id: UUID, *, output: Any = None, error: BaseException | None = None) -> OpenSpan | None:
        step = self._taken(run_id)
        if step is None:
            return None
        if step.span is not None:
            step.span.end(output=output, error=error)
        self._closed(step, error)
        return step.span

    def _closed(self, step: _Step, error: BaseException | None = None) -> None:
        if step.own_run is not None:
            recording.closed(step.own_run, error=error)


def _bridge(entered: Scope | None) -> Scope | None:
    """Where LangChain's own context says that we are."""
    call = _call.get()
    if call is not None and call.is_open and call.entered is entered:
        return call.scope
    callbacks = (var_child_runnable_config.get() or {}).get("callbacks")
    if isinstance(callbacks, BaseCallbackManager):
        for handler in callbacks.handlers:
            if isinstance(handler, WfloCallbackHandler):
                return handler.scope_of(callbacks.parent_run_id, entered) or entered
    return entered


context.bridge(_bridge)
