"""What a job's run tells of itself, as any agent tells Wflo: the run, each agent's turn, each tool. Calls of models the gateway tells."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from tracking.errors import Unavailable
from tracking.ingest import native, writer
from tracking.ingest.batch import Batch
from tracking.ingest.clean import clean_all
from tracking.ingest.normalise import normalise
from tracking.keys import Caller
from wflo.ids import root_span_id_of, span_id_of, trace_id_of

log = logging.getLogger("wflo.queue")

_span: ContextVar[str] = ContextVar("wflo_job_span", default="")


def current_span() -> str:
    """Under which what happens here hangs; '' outside of a run."""
    return _span.get()


@dataclass(slots=True)
class Teller:
    """Of one run. What cannot be told is logged: a job does not fail of it."""

    caller: Caller
    run: str
    parent_run: str = ""
    _turns: dict[str, int] = field(default_factory=dict)

    async def run_began(self, name: str, agent: str, given: str, metadata: Mapping[str, Any]) -> None:
        _span.set(root_span_id_of(self.run))
        more = {"parent_run_id": self.parent_run} if self.parent_run else {}
        await self.tell("run.start", "run", name=name, agent=agent, input=given, metadata=dict(metadata), **more)

    async def run_ended(self, *, output: Any = None, error: str = "", is_over: bool = True) -> None:
        if is_over:
            await self.tell("run.end", "run.end", status="error" if error else "ok", error=error or None, output=output)

    @asynccontextmanager
    async def turn(self, agent: str, asked: str) -> AsyncIterator[dict[str, Any]]:
        """A span around an agent's turn; put ``output`` into what it gives."""
        number = self._turns[agent] = self._turns.get(agent, 0) + 1
        id = span_id_of(self.run, f"turn:{agent}:{number}")
        parent, said = current_span(), dict[str, Any]()
        common = {"span_id": id, "parent_span_id": parent, "agent": agent, "name": agent, "span_kind": "agent"}
        await self.tell("span.start", f"{id}.start", input=asked, **common)
        token = _span.set(id)
        try:
            yield said
        except BaseException as error:
            if isinstance(error, Exception):
                await self.tell("span.end", f"{id}.end", status="error", error=str(error)[:2_000], **common)
            raise
        finally:
            _span.reset(token)
        await self.tell("span.end", f"{id}.end", status="ok", output=said.get("output"), **common)

    async def tool(
        self, name: str, agent: str, arguments: Any, output: str, *, began: float, id: str, error: bool
    ) -> None:
        seconds = time.time() - began
        await self.tell(
            "tool_call", id, span_id=id, parent_span_id=current_span(), agent=agent, name=name, tool=name, input=arguments, output=output,
            ts=datetime.fromtimestamp(began, UTC).isoformat(), duration_ms=round(seconds * 1000, 3),
            **({"status": "error", "error": output[:2_000]} if error else {"status": "ok"}),
        )  # fmt: skip

    async def tell(self, kind: str, event_id: str, **fields: Any) -> None:
        event = {
            "kind": kind,
            "event_id": f"{self.run}:{event_id}",
            "run_id": self.run,
            "trace_id": trace_id_of(self.run),
        }
        event |= {
            "ts": datetime.now(UTC).isoformat(),
            **{name: value for name, value in fields.items() if value is not None},
        }
        received = time.time_ns()
        decoded = native.decode_events(orjson.dumps({"events": [event]}, default=str), events_max=1)
        spans, bad = clean_all(decoded.spans, received_ns=received)
        spans, worse = normalise(spans)
        if decoded.rejected or bad or worse:
            log.error("a job's event is no good: %s", [*decoded.rejected, *bad, *worse])
        batch = Batch(
            caller=self.caller, spans=spans, received_ns=received, received=1, origin="queue", parents=decoded.parents
        )
        try:
            await writer.submit(batch)
        except Unavailable as error:
            log.warning("a job's event could not be written: %s", error)
