"""A model called within a job: small ASGI callables, whole and streamed, as the gateway's."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import TypeVar

import orjson
from django.conf import settings
from pydantic import BaseModel, ValidationError

from tracking.errors import NotAllowed, Unavailable, WfloServerError
from tracking.gateway import answers, call
from tracking.gateway.request_body import parsed
from tracking.gateway.sending import send_stream
from tracking.gateway.threads import in_thread
from tracking.ingest import body
from tracking.ingest.answers import MethodNotAllowed, send_bytes
from tracking.ingest.body import JSON, InFlight, Receive, Scope, Send, Stream
from tracking.jobs import calls, lifecycle
from tracking.jobs.calls import Streamed, Wanted
from tracking.jobs.lifecycle import Finished
from tracking.keys import Caller, acaller_for, secret_of
from tracking.keys import Scope as KeyScope
from tracking.models import Job, Team
from tracking.saas import jobs_json
from tracking.saas.answers import body_of, body_of_validation, errors_of, status_of
from tracking.saas.schemas import CreateAndCall, LlmCall

M = TypeVar("M", bound=BaseModel)
Door = Callable[[Scope, Receive, Send], Awaitable[None]]

_PATH = re.compile(r"/api/jobs/(?:([^/]+)/(llm-call(?:-stream)?)|(create-and-call(?:-stream)?))/?")
_JSON = b"application/json"
_ALIVE = b": job begun\n\n"

_log = logging.getLogger(__name__)
_in_flight = InFlight(settings.LIMITS["bodies_in_flight_bytes"])


def door_of(path: str) -> Door | None:
    """The door of an address at which a model is called."""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    job_id, within, alone = found.groups()
    if within is not None:
        return lambda scope, receive, send: _llm_call(
            scope, receive, send, job_id, is_stream=within.endswith("-stream")
        )
    return lambda scope, receive, send: _create_and_call(scope, receive, send, is_stream=alone.endswith("-stream"))


async def _llm_call(scope: Scope, receive: Receive, send: Send, job_id: str, *, is_stream: bool) -> None:
    stream = Stream(receive)
    try:
        caller, asked = await _read(scope, stream, LlmCall)
        wanted = _wanted(asked)
        if not is_stream:
            made = await calls.make(caller, job_id, wanted)
            await send_bytes(send, 200, _JSON, orjson.dumps(jobs_json.answer_json(made)))
            return
        streamed = await calls.begin(caller, job_id, wanted)
    except Exception as error:
        await _refuse(send, stream, error)
        return
    await _relay(receive, send, streamed)


async def _create_and_call(scope: Scope, receive: Receive, send: Send, *, is_stream: bool) -> None:
    """A job of one call, which ends with it: completed and charged, or failed and free."""
    stream = Stream(receive)
    try:
        caller, asked = await _read(scope, stream, CreateAndCall)
        job = await _created(caller, asked)
        try:
            if is_stream:
                streamed = await calls.begin(caller, job.id, _wanted(asked))
            else:
                made = await calls.make(caller, job.id, _wanted(asked))
        except BaseException as error:
            await _ended(caller, job, "failed", str(error))
            raise
        if not is_stream:
            done = await _ended(caller, job, "completed")
            answer = {**jobs_json.answer_json(made), **jobs_json.finished_json(done)}
            await send_bytes(send, 200, _JSON, orjson.dumps(answer))
            return
    except Exception as error:
        await _refuse(send, stream, error)
        return
    await _relay(receive, send, streamed, caller)


async def _created(caller: Caller, asked: CreateAndCall) -> Job:
    if caller.team_slug != asked.team_id:
        raise NotAllowed("Access denied: this key belongs to another team.")
    call.check_team(caller)

    def create() -> Job:
        team = Team.objects.get(pk=caller.team_id)
        return lifecycle.create(team, asked.job_type, user_id=asked.user_id or "", metadata=asked.job_metadata)

    return await in_thread(create)


async def _ended(caller: Caller, job: Job, status: str, error: str = "") -> Finished:
    return await in_thread(
        lambda: lifecycle.complete(caller.team_id, job.id, status, error=error, actor=caller.actor())
    )


def _wanted(asked: LlmCall) -> Wanted:
    return Wanted(group=asked.group, body=asked.body(), purpose=asked.purpose or "", metadata=asked.call_metadata)


async def _read(scope: Scope, stream: Stream, schema: type[M]) -> tuple[Caller, M]:
    if scope["method"] != "POST":
        raise MethodNotAllowed
    headers: Mapping[bytes, bytes] = dict(scope["headers"])
    secret = secret_of(
        headers.get(b"authorization", b"").decode("latin-1"), headers.get(b"x-api-key", b"").decode("latin-1")
    )
    caller = await acaller_for(secret, scope=KeyScope.JOBS)
    envelope = body.envelope(headers, accepts=JSON)
    with _in_flight.hold() as hold:
        raw = await body.read(stream, envelope, hold, limit=settings.LIMITS["body_bytes"])
    return caller, schema.model_validate(parsed(raw))


# --- streams ---------------------------------------------------------------------------------------------------------


async def _relay(receive: Receive, send: Send, streamed: Streamed, caller: Caller | None = None) -> None:
    """``caller``: who asked for the job that ends with this stream."""
    headers = [(b"x-wflo-call-id", str(streamed.begun.asked.id).encode())]
    await send_stream(receive, send, headers, lambda gone: _whole(streamed, gone, caller))


async def _whole(streamed: Streamed, gone: asyncio.Event, caller: Caller | None) -> AsyncGenerator[bytes, None]:
    """The chunks; the job of a create-and-call ends before its stream does."""
    chunks, is_settled = streamed.chunks(gone), caller is None
    try:
        if caller is not None:
            yield _ALIVE
        async for data in chunks:
            if not is_settled and data.rstrip().endswith(calls.DONE):
                is_settled = True
                await _settle(streamed, caller)
            yield data
    finally:
        await chunks.aclose()
        if not is_settled:
            await _settle(streamed, caller)


async def _settle(streamed: Streamed, caller: Caller | None) -> None:
    row, job = streamed.row, streamed.job
    assert caller is not None
    is_whole = row is not None and not row.error
    error = "" if is_whole else (row.error if row is not None else "the stream was left")
    await _ended(caller, job, "completed" if is_whole else "failed", error)


async def _refuse(send: Send, stream: Stream, error: Exception) -> None:
    if isinstance(error, ValidationError):
        await send_bytes(send, 422, _JSON, orjson.dumps(body_of_validation(errors_of(error)), default=str))
        return
    known = error if isinstance(error, WfloServerError) else Unavailable()
    if known is not error:
        _log.error("a call of a job failed", exc_info=error)
    if not stream.is_ended and known is error:
        await stream.finish(known)
    content = orjson.dumps(body_of(known), default=str)
    await send_bytes(send, status_of(known), _JSON, content, answers.headers_of(known))
