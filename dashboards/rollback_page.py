"""What the sheet "Roll back" shows: what is reused, what may come, what stays in the world, what may be changed. Of a job's run, and of a
run that another process drives."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID, uuid4

from dashboards.messages import cut, written
from dashboards.model_choices import model_choices
from tracking.agents.resolve import body_of
from tracking.checkpoints import rollbacks, store
from tracking.errors import Invalid
from tracking.models import AgentJob, Rollback, Team
from tracking.queue.forks import Wish
from tracking.queue.previews import Preview
from tracking.queue.steps import Kept
from tracking.reports.text_difference import Line, text_difference
from tracking.reports.wish_preview import WishPreview

BARS_MAX = 120
EFFECTS_SHOWN = 100
STATE_CHARACTERS_MAX = 200_000  # in a text field; a larger one is edited over the API
TYPED = ("model", "instructions", "state", "reason", "budget_usd", "wish")


@dataclass(frozen=True, slots=True)
class Effect:
    """A step after the checkpoint that changed the world, or may have."""

    step: Kept
    arguments: str

    @property
    def may_undo(self) -> bool:
        return self.step.has_undo and self.step.undone_at is None and self.step.position is not None


@dataclass(frozen=True, slots=True)
class AsItIs:
    """What may be changed, before it is. ``state`` is JSON; '' where there is none, or too much of it to edit here."""

    model: str
    instructions: str
    state: str


# --- a job's run ------------------------------------------------------------------------------------------------------


def of_job(team: Team, found: Preview, given: Mapping[str, Any]) -> dict[str, Any]:
    """``given``: what was typed already."""
    now, job = now_of(found), found.job
    effects = [Effect(step, cut(written(step.arguments)).text) for step in found.writes]
    return {
        "team": team, "run": found.run, "job": job, "preview": found, "checkpoint": found.checkpoint, "agent": agent_of(found),
        "effects": effects[:EFFECTS_SHOWN], "effects_hidden": max(len(effects) - EFFECTS_SHOWN, 0),
        "may_undo": any(one.may_undo for one in effects),
        "reads": sum(1 for step in found.later if step.kind == "tool" and step.effect != "write"),
        "cut_off": found.under_way[:1], "bars": bars(len(found.reused), len(found.later)), "later": len(found.later),
        "reused": len(found.reused), "is_broke": found.budget_left_usd is not None and found.budget_left_usd <= 0,
        "is_over": job.status in (AgentJob.Status.COMPLETED, AgentJob.Status.FAILED, AgentJob.Status.CANCELLED),
        **_fields(team, now, given), "undo": given.get("undo") or [],
    }  # fmt: skip


def now_of(found: Preview) -> AsItIs:
    """What the run goes by: its agent's definition, and what was changed in a rollback before. Instructions are no part of the state
    here, for they have a field of their own."""
    agent = agent_of(found)
    body = {**body_of(found.job.definition, agent), **(found.overrides.get("agents") or {}).get(agent, {})}
    state = store.state_of(found.checkpoint)
    messages = state.get("messages") if isinstance(state, dict) else None
    said = [one for one in messages or () if one.get("role") != "system"]
    return AsItIs(str(body.get("model") or ""), str(body.get("instructions") or ""), _json(said) if said else "")


def agent_of(found: Preview) -> str:
    return found.checkpoint.agent or found.job.agent


def wish_of(found: Preview, given: Mapping[str, Any]) -> Wish:
    """Only what differs from how it is. Raises Invalid naming the field."""
    now = now_of(found)
    overrides: dict[str, Any] = {}
    if given["model"].strip() not in ("", now.model):
        overrides["model"] = given["model"].strip()
    if given["instructions"].strip() != now.instructions.strip():
        overrides["instructions"] = given["instructions"]
    if now.state and given["state"].strip():
        state = read_state(given["state"])
        if state != json.loads(now.state):
            overrides["state"] = {"messages": state}
    return Wish(
        checkpoint=str(found.checkpoint.version), reason=given["reason"], overrides=overrides, budget_usd=budget_of(given),
        undo=given["undo"], id=_uuid(given["wish"]),
    )  # fmt: skip


# --- a run that another process drives --------------------------------------------------------------------------------


def of_wish(team: Team, found: WishPreview, given: Mapping[str, Any]) -> dict[str, Any]:
    waiting = next((one for one in rollbacks.of_run(team, found.run) if one.status == Rollback.Status.REQUESTED), None)
    return {
        "team": team, "run": found.run, "preview": found, "checkpoint": found.checkpoint, "waiting": waiting,
        "bars": bars(found.reused.steps, found.later.steps), "reused": found.reused.steps, "later": found.later.steps,
        "is_running": found.row is not None and found.row.is_running, **_fields(team, state_of(found), given),
    }  # fmt: skip


def state_of(found: WishPreview) -> AsItIs:
    state = store.state_of(found.checkpoint)
    return AsItIs("", "", _json(state) if state is not None else "")


def overrides_of(found: WishPreview, given: Mapping[str, Any]) -> dict[str, Any]:
    """What its process is told to change: fields that were filled, and of the state what differs. Raises Invalid naming the field."""
    changed = {name: given[name].strip() for name in ("model", "instructions") if given[name].strip()}
    before = state_of(found).state
    if not before or not given["state"].strip():
        return changed
    was, state = json.loads(before), read_state(given["state"])
    if state == was:
        return changed
    if isinstance(state, dict) and isinstance(was, dict):
        gone = [name for name in was if name not in state]
        if gone:
            raise Invalid(f'"{gone[0][:80]}" cannot be taken out of the state: set it to null.', field="state")
        state = {name: value for name, value in state.items() if name not in was or was[name] != value}
    return {**changed, "state": state}


# --- both -------------------------------------------------------------------------------------------------------------


def differences(now: AsItIs, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the edits change, line by line, before they are sent; ``fault``: what is wrong with them."""
    model = given["model"].strip()
    found: dict[str, Any] = {
        "model": (now.model, model) if model not in ("", now.model) else None, "fault": "",
        "instructions": text_difference(now.instructions, given["instructions"]) if now.instructions or given["instructions"] else [],
        "state": list[Line](),
    }  # fmt: skip
    if now.state and given["state"].strip():
        try:
            found["state"] = text_difference(now.state, _json(read_state(given["state"])))
        except Invalid as error:
            found["fault"] = error.message
    return found


def read_state(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"The state is no JSON: {error}.", field="state") from None


def bars(kept: int, given_up: int) -> dict[str, Any]:
    """The steps as a strip: kept, given up, and where it goes on; in per cent of its width."""
    count = kept + given_up
    if not count:
        return {}
    width = 100 / count
    shown: Sequence[int] = range(count) if count <= BARS_MAX else ()
    gap = min(0.35, width / 8)
    return {
        "each": [{"x": f"{place * width + gap:.2f}", "width": f"{width - 2 * gap:.2f}", "is_kept": place < kept} for place in shown],
        "kept": f"{kept * width:.2f}", "rest": f"{100 - kept * width:.2f}", "count": count, "is_left": kept * width > 75,
    }  # fmt: skip


def _fields(team: Team, now: AsItIs, given: Mapping[str, Any]) -> dict[str, Any]:
    is_long = len(now.state) > STATE_CHARACTERS_MAX
    return {
        "now": now, "model": given.get("model", ""), "instructions": given.get("instructions", now.instructions),
        "state": "" if is_long else given.get("state") or now.state, "is_state_long": is_long, "reason": given.get("reason", ""),
        "budget": given.get("budget_usd", ""), "wish": given.get("wish") or str(uuid4()), "models": model_choices(team),
        "is_open": any(given.get(name) for name in ("model", "instructions", "state")),
    }  # fmt: skip


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def budget_of(given: Mapping[str, Any]) -> Decimal | None:
    """Raises Invalid naming the field."""
    text = str(given["budget_usd"])
    if not text.strip():
        return None
    try:
        found = Decimal(text.strip().lstrip("$"))
    except InvalidOperation:
        found = Decimal(0)
    if not (found.is_finite() and 0 < found < 10**9):
        raise Invalid("A budget is an amount in USD above 0.", field="budget_usd")
    return found


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
