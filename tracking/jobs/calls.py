"""A model called within a job: the gateway's guarded call, and what its customer pays for it."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson

from tracking import credits
from tracking.errors import GuardRefused, UpstreamFailed
from tracking.gateway import asked as asking
from tracking.gateway import call, finish, guard
from tracking.gateway.asked import Asked
from tracking.gateway.call import Begun
from tracking.gateway.dialects import CHAT
from tracking.gateway.finish import Bill
from tracking.gateway.threads import in_thread
from tracking.jobs import lifecycle
from tracking.keys import Caller
from tracking.models import Job, JobCall

# The seeds' wrappers say who calls in the purpose alone: "researcher_call_3", "critic_message_1".
_AGENT = re.compile(r"(.+)_(?:call|message)_\d+")
DONE = b"data: [DONE]"  # the last event of a stream
_CENT_OF_A_CENT = Decimal("1e-10")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One call. ``body`` has OpenAI's fields but the model, which is ``group``: a group's name, or an alias."""

    group: str
    body: dict[str, Any]
    purpose: str = ""
    metadata: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """``message`` is the provider's, of its first choice."""

    row: JobCall
    message: dict[str, Any]
    finish_reason: str


async def make(caller: Caller, job_id: object, wanted: Wanted) -> Made:
    """A whole answer. Raises NotFound, JobEnded, OutOfCredits, Invalid, and as ``tracking.gateway.call.complete``."""
    job = await _begun(caller, job_id, wanted)
    asked = _asked(caller, job, wanted)
    began = time.perf_counter()
    try:
        answered = await call.complete(asked)
    except UpstreamFailed as error:
        await _failed(asked, job, wanted, began, error)
        raise
    row = await in_thread(lambda: _keep(asked, job, wanted, answered.begun, answered.bill, began))
    told = guard.look_at_answer(asked, answered)  # it is paid for whatever it holds
    answer: dict[str, Any] = orjson.loads(told.body) if told is not answered else answered.answer
    choice = next(iter(answer.get("choices") or ()), None) or {}
    return Made(row, choice.get("message") or {}, choice.get("finish_reason") or "")


async def begin(caller: Caller, job_id: object, wanted: Wanted) -> Streamed:
    """A stream that has begun. Raises as ``make`` does."""
    job = await _begun(caller, job_id, wanted)
    body = {**wanted.body, "stream": True, "stream_options": {"include_usage": True}}
    asked = _asked(caller, job, Wanted(group=wanted.group, body=body, purpose=wanted.purpose))
    began = time.perf_counter()
    try:
        begun = await call.begin(asked)
    except UpstreamFailed as error:
        await _failed(asked, job, wanted, began, error)
        raise
    return Streamed(job, wanted, begun, began)


@dataclass(slots=True)
class Streamed:
    """OpenAI's chunks as they come, the last of them with the usage. ``row`` is there before the end is told."""

    job: Job
    wanted: Wanted
    begun: Begun
    began: float
    row: JobCall | None = None

    async def chunks(self, gone: Any) -> AsyncGenerator[bytes, None]:
        self.begun.on_close = self._closed
        end = b""
        pieces = guard.pieces_of(self.begun, call.relay(self.begun, gone))
        try:
            async for data in pieces:
                if data.rstrip().endswith(DONE):
                    end = data  # told when the call is in the job's bill
                else:
                    yield data
        finally:
            await pieces.aclose()
        if end:
            yield end

    async def _closed(self, bill: Bill, error: str) -> None:
        self.row = await in_thread(
            lambda: _keep(self.begun.asked, self.job, self.wanted, self.begun, bill, self.began, error=error)
        )


async def _begun(caller: Caller, job_id: object, wanted: Wanted) -> Job:
    call.check_team(caller)
    return await in_thread(lambda: lifecycle.begin_call(caller.team_id, job_id, wanted.group, wanted.metadata))


def _asked(caller: Caller, job: Job, wanted: Wanted) -> Asked:
    run = str(job.id)
    headers = {b"x-wflo-run-id": run.encode(), b"x-wflo-purpose": wanted.purpose.encode()}
    asked = asking.read(CHAT, caller, headers, {**wanted.body, "model": wanted.group}, b"")
    named = _AGENT.fullmatch(wanted.purpose)
    asked.agent = named[1] if named else job.job_type
    asked.job, asked.user = run, asked.user or job.user_id
    asked.guard = guard.of(asked, {})
    try:
        guard.look_at_prompt(asked)
    except GuardRefused as error:
        error.call_id = str(asked.id)
        finish.refused(asked, error)
        raise
    return asked


async def _failed(asked: Asked, job: Job, wanted: Wanted, began: float, error: UpstreamFailed) -> None:
    await in_thread(lambda: _keep(asked, job, wanted, None, None, began, error=error.message))


def _keep(
    asked: Asked, job: Job, wanted: Wanted, begun: Begun | None, bill: Bill | None, began: float, *, error: str = ""
) -> JobCall:
    """The call as it is billed; markup and rates are those of now."""
    account = credits.account_of(job.team_id)
    markup = Decimal(0) if account is None else account.markup_percent
    usd = None if bill is None else bill.usd
    usage = None if bill is None else bill.usage
    row = JobCall(
        team_id=job.team_id,
        id=asked.id,
        job_id=job.id,
        model_group=wanted.group,
        model="" if begun is None else begun.route.model,
        purpose=wanted.purpose,
        input_tokens=0 if usage is None else usage.input_tokens or 0,
        output_tokens=0 if usage is None else usage.output_tokens or 0,
        cost_usd=usd,
        client_cost_usd=None if usd is None else (usd * (100 + markup) / 100).quantize(_CENT_OF_A_CENT),
        markup_percent=markup,
        rates={} if bill is None else {line.bucket: str(line.usd_per_token) for line in bill.cost.lines},
        latency_ms=round((time.perf_counter() - began) * 1000),
        error=error,
        created_at=datetime.now(UTC),
    )
    lifecycle.enter(job, row)
    return row


def content_of(message: dict[str, Any]) -> Any:
    """A message's text, None where it only calls tools."""
    content = message.get("content")
    return content if content is None or isinstance(content, str) else orjson.dumps(content).decode()
