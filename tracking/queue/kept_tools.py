"""Tools as a job calls them: their results kept and read again; those that change the world asked about, where somebody wants that, and
never run a second time unasked."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

from tracking.gateway.threads import in_thread
from tracking.models import Approval
from tracking.queue.journal import TOOL, Journal
from tracking.queue.places import Conversation, Conversations, ToolPlace
from tracking.queue.spans import Teller
from tracking.queue.steps import Begin, Done, Kept
from tracking.queue.stops import Waiting
from tracking.steering import approvals
from tracking.tools import Offered
from wflo.agents import Tool, ToolResult, steps
from wflo.ids import span_id_of

WRITE = "write"
APPROVAL_SECONDS = 7 * 86_400


@dataclass(slots=True)
class Keeper:
    """What the tools of a run share. ``risks``: tools that a person is asked about first, by name."""

    journal: Journal
    conversations: Conversations
    teller: Teller
    pattern: str
    risks: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class KeptTool(Tool):
    """``agent`` is whose it is; ``offered`` says what it does to the world."""

    agent: str = ""
    offered: Offered | None = field(default=None, repr=False)
    keeper: Keeper | None = field(default=None, repr=False)

    async def call(self, arguments: str | dict[str, Any]) -> ToolResult:
        """Raises Stop."""
        call, keeper, offered = steps.current_call(), self.keeper, self.offered
        assert call is not None
        assert keeper is not None
        assert offered is not None
        conversation, place = keeper.conversations.of_call(call)
        given = _parsed(arguments)
        input_hash = keeper.journal.hash_of([self.name, given])
        kept = keeper.journal.done(place.key, input_hash)
        if kept is not None:
            return _read(keeper, conversation, place, kept, given)
        step = Begin(
            run=keeper.journal.run, key=place.key, kind=TOOL, agent=self.agent, name=self.name, lane=place.lane,
            ordinal=place.ordinal, input_hash=input_hash, arguments=given, effect=offered.effect,
            has_undo=offered.undo is not None, span_id=span_id_of(keeper.journal.run, f"tool:{place.key.hex()}"),
        )  # fmt: skip
        refusal = await _asked_about(keeper, self.name, self.agent, offered, given, place)
        tries = await keeper.journal.begun(step)
        if refusal is None and tries > 1 and offered.effect == WRITE:
            refusal = await _asked_again(keeper, self.name, self.agent, given, place, tries)
        began = time.time()
        result = refusal or await Tool.call(self, arguments)
        message = {"role": "tool", "tool_call_id": call["id"], "content": result.text}
        await keeper.teller.tool(
            self.name, self.agent, given, result.text, began=began, id=step.span_id, error=result.is_error
        )
        before = _with_its_answers(keeper, conversation, place)
        await keeper.journal.kept(
            step, Done(output=message, is_error=result.is_error), [*before, message], pattern=keeper.pattern
        )
        return result


def kept_tool(keeper: Keeper, agent: str, offered: Offered) -> KeptTool:
    tool = offered.tool
    return KeptTool(
        name=tool.name, description=tool.description, parameters=tool.parameters, function=tool.function, arguments=tool.arguments,
        names=tool.names, positional=tool.positional, is_async=tool.is_async, agent=agent, offered=offered, keeper=keeper,
    )  # fmt: skip


def _read(keeper: Keeper, conversation: Conversation, place: ToolPlace, kept: Kept, given: Any) -> ToolResult:
    message, edited = kept.output, keeper.journal.edit_after(kept)
    if edited is not None:
        conversation.edited = edited
        conversation.edited_count = len(_with_its_answers(keeper, conversation, place)) + 1
    return ToolResult(str(message.get("content") or ""), is_error=kept.is_error, arguments=given)


def _with_its_answers(keeper: Keeper, conversation: Conversation, place: ToolPlace) -> list[dict[str, Any]]:
    """The conversation so far: its list has no result of this answer's tools before all are there."""
    found = list(conversation.messages)
    for index in range(place.call):
        kept = keeper.journal.known.get(ToolPlace(place.lane, place.ordinal, index).key)
        if kept is not None and kept.position is not None:
            found.append(kept.output)
    return found


async def _asked_about(
    keeper: Keeper, tool: str, agent: str, offered: Offered, given: Any, place: ToolPlace
) -> ToolResult | None:
    """None when it may run; what the model is told when a person said no. Raises Waiting until somebody has decided."""
    risk = keeper.risks.get(tool) or offered.risk
    if not risk:
        return None
    question = f"{agent} wants to call {tool}."
    return await _decided(
        keeper, tool, agent, risk, question, given, uuid5(_NAMES, f"{keeper.journal.run}:{place.key.hex()}")
    )


async def _asked_again(
    keeper: Keeper, tool: str, agent: str, given: Any, place: ToolPlace, tries: int
) -> ToolResult | None:
    question = (
        f"{tool} was begun and its worker died before its end was seen: it may have done its work or not."
        " Approve to run it again; reject if it is done, or must not be done."
    )
    id = uuid5(_NAMES, f"{keeper.journal.run}:{place.key.hex()}:again")
    return await _decided(keeper, f"{tool} again", agent, "high", question, given, id)


async def _decided(
    keeper: Keeper, action: str, agent: str, risk: str, question: str, given: Any, id: UUID
) -> ToolResult | None:
    asked = {
        "id": id, "action": action, "agent": agent, "risk": risk, "question": question, "payload": given,
        "timeout_s": APPROVAL_SECONDS, "on_timeout": Approval.OnTimeout.REJECT,
    }  # fmt: skip
    team, run = keeper.journal.team, keeper.journal.run

    def look() -> Approval:
        approvals.request(team, run, asked)
        return approvals.find(team, id)

    found = await in_thread(look)
    if found.status == Approval.Status.PENDING:
        raise Waiting(f"A person is asked whether {agent} may do this: {action}.", id)
    if found.status == Approval.Status.APPROVED:
        return None
    comment = f": {found.comment}" if found.comment else ""
    return ToolResult(f"Error: {action} was not run: a person said no{comment}", is_error=True, arguments=given)


def _parsed(arguments: str | dict[str, Any]) -> Any:
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments


_NAMES = UUID("6d1f0d52-6a4e-4f0e-9d0c-2f1e7a3d5b60")
