"""The model as a job calls it: through the gateway's guarded call, so budgets, loops, circuits and keys bind it too; its answers
kept, and read again when the run is done again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson

from tracking.errors import (
    AgentCutOff,
    BudgetExceeded,
    CircuitOpen,
    LoopDetected,
    OutOfCredits,
    RateLimited,
    Refused,
    RunKilled,
    TeamNotActive,
    Unavailable,
    UpstreamFailed,
    WfloServerError,
)
from tracking.gateway import asked as asking
from tracking.gateway import call, failures
from tracking.gateway.dialects import CHAT
from tracking.gateway.dialects.sse import Events, data_of
from tracking.gateway.finish import Bill
from tracking.keys import Caller
from tracking.ledger.calls import OF_THE_CALL
from tracking.queue.journal import MODEL, Journal
from tracking.queue.places import Conversation, Conversations, Place
from tracking.queue.spans import current_span
from tracking.queue.steps import Begin, Done, Kept
from tracking.queue.stops import Again, Broke, Failed, Held, Killed, Looped, Stop
from wflo.agents.assembly import Assembly
from wflo.agents.errors import InvalidRequestError, TokenLimitError
from wflo.agents.model import Answer, Piece, Request
from wflo.usage import Usage

DONE = b"[DONE]"
_HOLDS = (AgentCutOff, RateLimited, TeamNotActive)
_AWAY = (CircuitOpen, Unavailable)

Said = Callable[[str, str], None]  # of an agent, what its answer is so far


@dataclass(slots=True)
class GuardedModel:
    """wflo.agents' ``Model``. ``parents``: the span each agent's turn is; ``budget_left``: what the job may still spend in this run."""

    journal: Journal
    conversations: Conversations
    caller: Caller
    job_id: str
    pattern: str
    budget_left: Callable[[], Awaitable[Decimal | None]]
    said: Said
    over: Callable[[str], None]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    takes_schemas = True

    async def ask(self, request: Request) -> Answer:
        """Raises Stop; LLMError for what no other try puts right."""
        conversation = self.conversations.of(request.agent, request.messages)
        self._edit(conversation)
        place, input_hash = self._place(conversation)
        kept = self.journal.done(place.key, input_hash)
        answer = None if kept is None else self._read(conversation, kept)
        if answer is None:
            place, input_hash = self._place(conversation)
            answer = await self._made(request, conversation, place, input_hash)
        self.conversations.asked(conversation, place, answer.calls)
        return answer

    def _place(self, conversation: Conversation) -> tuple[Place, bytes]:
        """Where its next answer stands, and what is asked for it."""
        asked = [one for one in conversation.messages if one.get("role") != "system"]
        return self.conversations.place_of(conversation), self.journal.hash_of(asked)

    async def stream(self, request: Request) -> AsyncGenerator[Piece, None]:
        answer = await self.ask(request)
        yield Piece(
            text=answer.text, calls=answer.calls, finish_reason=answer.finish_reason, usage=answer.usage,
            cost_usd=answer.cost_usd, model=answer.model,
        )  # fmt: skip

    # --- read -------------------------------------------------------------------------------------------------------------

    def _read(self, conversation: Conversation, kept: Kept) -> Answer | None:
        """None where what came after it was edited so that another answer is asked for."""
        message, edited = dict(kept.output), self.journal.edit_after(kept)
        if edited is not None:
            is_answer = edited[-1].get("role") == "assistant"
            conversation.edit(
                edited[:-1] if is_answer else edited, len(conversation.messages), kept.ordinal + (not is_answer)
            )
            if not is_answer:
                return None
            message = edited[-1]
        usage = None
        if kept.input_tokens is not None:
            usage = Usage(input_tokens=kept.input_tokens, output_tokens=kept.output_tokens)
        return Answer(message=message, usage=usage, cost_usd=Decimal(0), model=kept.name)

    def _edit(self, conversation: Conversation) -> None:
        """Who goes on from a tool's result has the edited messages before the next answer."""
        if conversation.edited is not None:
            conversation.edit(conversation.edited, conversation.edited_count, conversation.answers)
            conversation.edited = None

    # --- made -------------------------------------------------------------------------------------------------------------

    async def _made(self, request: Request, conversation: Conversation, place: Place, input_hash: bytes) -> Answer:
        asked = await self._asked(request)
        step = Begin(
            run=self.journal.run, key=place.key, kind=MODEL, agent=request.agent, name=request.model, lane=place.lane,
            ordinal=place.ordinal, input_hash=input_hash, call_id=asked.id, span_id=asked.parent_id or "",
        )  # fmt: skip
        asked.retry_count = await self.journal.begun(step) - 1  # the same again is no loop
        answer = await self._called(asked, request)
        usage = answer.usage
        done = Done(
            output=answer.message, cost_usd=answer.cost_usd, input_tokens=None if usage is None else usage.input_tokens,
            output_tokens=None if usage is None else usage.output_tokens,
        )  # fmt: skip
        step.name = answer.model or request.model
        self.over(request.agent)
        await self.journal.kept(step, done, [*request.messages, answer.message], pattern=self.pattern)
        return answer

    async def _asked(self, request: Request) -> asking.Asked:
        body: dict[str, Any] = {"model": request.model, "messages": list(request.messages), **request.options}
        if request.tools:
            body["tools"] = request.tools
        for name in ("tool_choice", "response_format"):
            if getattr(request, name) is not None:
                body[name] = getattr(request, name)
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        headers = {b"x-wflo-run-id": self.journal.run.encode(), b"x-wflo-agent": request.agent.encode()}
        left = await self.budget_left()
        try:
            asked = asking.read(CHAT, self.caller, headers, body, b"")
        except WfloServerError as error:
            raise InvalidRequestError(error.message) from error
        asked.job, asked.raw, asked.metadata = self.job_id, None, dict(self.metadata)
        asked.run_budget_usd = left
        asked.parent_id = current_span() or asked.parent_id
        return asked

    async def _called(self, asked: asking.Asked, request: Request) -> Answer:
        try:
            begun = await call.begin(asked)
        except WfloServerError as error:
            raise stop_of(error) from error
        bills: list[Bill] = []

        async def closed(bill: Bill, error: str) -> None:
            bills.append(bill)

        begun.on_close = closed
        assembly, trouble, events, text = Assembly(), None, Events(), ""
        pieces = call.relay(begun, asyncio.Event())
        try:
            async for data in pieces:
                for event in events.cut(data):
                    piece = _piece(data_of(event))
                    if isinstance(piece, Stop):
                        trouble = trouble or piece
                    elif piece is not None:
                        assembly.add(piece)
                        text += piece.text
                        self.said(request.agent, text)
        finally:
            await pieces.aclose()  # a run that is given up hangs up on the provider, and pays for what was said
        if trouble is not None:
            raise trouble
        answer = assembly.answer()
        answer.model = answer.model or begun.route.model
        if bills:
            answer.cost_usd, answer.usage = bills[0].usd, bills[0].usage or answer.usage
        return answer


def _piece(data: bytes) -> Piece | Stop | None:
    if not data or data == DONE:
        return None
    chunk = orjson.loads(data)
    if "error" in chunk:
        return _told(chunk["error"])
    choice = next(iter(chunk.get("choices") or ()), None)
    if choice is None:
        return None
    delta = choice.get("delta") or {}
    return Piece(
        text=delta.get("content") or "", thought=delta.get("reasoning_content") or "", calls=delta.get("tool_calls") or [],
        finish_reason=choice.get("finish_reason") or "", model=chunk.get("model") or "",
    )  # fmt: skip


def stop_of(error: WfloServerError) -> Stop | Exception:
    """What a call that was not made, or failed, means for its run."""
    if isinstance(error, BudgetExceeded | OutOfCredits):
        is_jobs = error.details.get("budget_id") == str(OF_THE_CALL)
        words = (
            f"The job's budget has ${error.details.get('available') or 0:.4f} free, and its next call may cost more."
        )
        return Broke(words if is_jobs else error.message, dict(error.details))
    if isinstance(error, LoopDetected):
        return Looped(error.message, dict(error.details))
    if isinstance(error, RunKilled):
        return Killed(error.message)
    if isinstance(error, _HOLDS):
        is_a_persons = bool(error.details.get("needs_person"))  # who may say yes at any moment
        return Held(error.message, None if is_a_persons else getattr(error, "retry_after_s", None))
    if isinstance(error, _AWAY):
        return Again(error.message, getattr(error, "retry_after_s", None))
    if isinstance(error, UpstreamFailed):
        if error.upstream_status in (400, 413) and failures.is_retryable(error):  # no deployment has room for it
            return TokenLimitError(error.message, status=error.status)
        if failures.is_retryable(error):
            return Again(error.message, error.retry_after_s)
        return InvalidRequestError(error.message, status=error.status)
    if isinstance(error, Refused):
        return Failed(error.message)
    return Again(error.message)


def _told(error: Mapping[str, Any]) -> Stop:
    """What ended a stream before its end."""
    code, words = str(error.get("code") or ""), str(error.get("message") or "the answer broke off")
    if code == BudgetExceeded.code:
        return Broke(words, {"budget_id": error.get("budget_id"), "budget": error.get("budget")})
    if code == RunKilled.code:
        return Killed(words)
    return Again(words)
