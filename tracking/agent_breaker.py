"""Agents are cut off when their team says so: opened, told, tried again. The rule is ``wflo.agent_breaker`` and ``wflo.circuits``.

The circuit of an agent is "agent:" and its name. The gateway asks and tells it (gateway/agent_breakers.py), loops and the
clock open it too. Each opening is an alert with what was seen; under a policy that wants a person's leave it is a question
on the page Approvals as well, whose yes lets one call through.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction

from tracking import audit, circuits
from tracking.alerts.standing import payload_json
from tracking.audit import Actor
from tracking.circuits import AGENT, Kept, Moved
from tracking.errors import Conflict, Invalid, NotAllowed, NotFound
from tracking.ledger.perform import perform
from tracking.models import Agent, AgentDefinition, Approval, Team
from tracking.models import Circuit as CircuitRow
from tracking.steering import approvals
from wflo import agent_breaker
from wflo import circuits as rule
from wflo.agent_breaker import BreakerPolicy, Mode
from wflo.circuits import Circuit, Outcome, State

REASON_CHARACTERS_MAX = 300
MINUTES_MAX = agent_breaker.MINUTES_MAX
POLICY = "agents"  # what the log calls the policy's entries


def policy_of(team: Team) -> BreakerPolicy:
    return agent_breaker.read_stored(team.breaker)


def set_policy(team: Team, given: Mapping[str, Any], *, actor: Actor) -> BreakerPolicy:
    """What is not given stays. Raises Invalid naming the field."""
    with transaction.atomic():
        fresh = Team.objects.select_for_update(no_key=True).get(pk=team.pk)
        before = policy_of(fresh)
        try:
            policy = agent_breaker.read({**before.to_json(), **given})
        except ValueError as error:
            raise Invalid(str(error), field=str(error).partition(" ")[0]) from None
        if policy != before:
            team.breaker = fresh.breaker = policy.to_json()
            fresh.save(update_fields=["breaker"])
            was, now = before.to_json(), policy.to_json()
            names = [name for name in now if was[name] != now[name]]
            audit.record(
                actor, fresh, "breaker.change", "circuit", POLICY,
                before={name: was[name] for name in names}, after={name: now[name] for name in names},
            )  # fmt: skip
    return policy


# --- by itself ----------------------------------------------------------------------------------------------------------


def told(
    team_id: int, agent: str, policy: BreakerPolicy, outcome: Outcome, facts: Mapping[str, Any] | None = None
) -> Circuit:
    """Take in what became of its calls; the circuit as it is then."""
    return _moved(
        team_id, agent, policy, lambda kept: rule.told(kept.circuit, policy.circuit, kept.now, outcome), facts or {}
    )


def trip(team_id: int, agent: str, policy: BreakerPolicy, why: str, facts: Mapping[str, Any]) -> Circuit:
    """Something was seen that the count of its calls does not tell: cut it off, unless it is."""
    rest_seconds = policy.rest_minutes * 60.0

    def take(kept: Kept) -> Circuit | None:
        is_open = kept.circuit.state is State.OPEN
        return None if is_open else rule.opened(kept.circuit, kept.now, why, rest_seconds=rest_seconds)

    return _moved(team_id, agent, policy, take, facts)


def _moved(
    team_id: int, agent: str, policy: BreakerPolicy, take: Callable[[Kept], Circuit | None], facts: Mapping[str, Any]
) -> Circuit:
    would_be: list[Circuit] = []

    def held(kept: Kept) -> Circuit | None:
        after = take(kept)
        would_be.clear()
        if after is None or after.state is not State.OPEN or kept.circuit.state is State.OPEN:
            return after
        would_be.append(after)
        if policy.mode is Mode.TELL and kept.circuit.state is State.CLOSED:
            return Circuit(window_at=after.window_at, last_error=after.last_error)
        return replace(after, is_held=True, retry_at=None, approval=uuid4()) if policy.needs_approval else after

    with transaction.atomic():
        moved = circuits.step(team_id, AGENT + agent, held)
        if would_be:
            _tell(moved, agent, would_be[0], facts)
        circuits.record(moved)
        if moved.is_opened and moved.after.approval is not None:
            _ask(Team.objects.get(pk=team_id), agent, moved.after, facts)
    return moved.after


def _tell(moved: Moved, agent: str, would_be: Circuit, facts: Mapping[str, Any]) -> None:
    after = moved.after if moved.is_opened else replace(would_be, retry_at=None)
    more = {**facts, "agent": agent, "goes_on": not moved.is_opened}
    team_id, name, now = moved.kept.team_id, moved.kept.name, moved.kept.now
    perform(circuits.told_open(team_id, name, after, shown=agent, now=now, agent=agent, facts=more))


def _ask(team: Team, agent: str, circuit: Circuit, facts: Mapping[str, Any]) -> None:
    asked = {
        "id": circuit.approval, "action": f"let {agent} call again", "agent": agent, "risk": Approval.Risk.HIGH,
        "question": f"{circuit.why} It was cut off. May one call of it try whether all is well?", "payload": json.loads(payload_json(facts)) or None,
        "timeout_s": settings.LIMITS["approval_seconds"], "on_timeout": Approval.OnTimeout.REJECT,
    }  # fmt: skip
    approvals.request(team, "", asked)


def loop_words(facts: Mapping[str, Any]) -> str:
    """Why, of a loop as its refusal or its alert tells it."""
    times, pattern = facts.get("times"), " ".join(str(facts.get("pattern") or "").split())[:200]
    what = f": {pattern}" if pattern else ""
    return f"It went round in circles{f' {times} times' if times else ''}{what}."


# --- by hand: any circuit of the team ------------------------------------------------------------------------------------


def open_by_hand(
    team: Team, name: str, *, reason: str, minutes: int | None, actor: Actor, is_operator: bool = False
) -> CircuitRow:
    """Cut it off for so long, None: until somebody lets it be tried. Raises NotFound, Invalid naming the field, NotAllowed."""
    words = " ".join(reason.replace("\0", "").split())
    if not 0 < len(words) <= REASON_CHARACTERS_MAX:
        raise Invalid(f"Say why, in at most {REASON_CHARACTERS_MAX} characters.", field="reason")
    if minutes is not None and not 0 < minutes <= MINUTES_MAX:
        raise Invalid(
            f"It rests from 1 to {MINUTES_MAX:,} minutes, or until somebody lets it be tried.", field="minutes"
        )
    team_id = _place(team, name, is_operator)
    _withdraw(team, team_id, name, actor)
    why = f"{actor.name} cut it off: {words}"
    rest_seconds = None if minutes is None else minutes * 60.0

    def take(kept: Kept) -> Circuit:
        return rule.opened(kept.circuit, kept.now, why, rest_seconds=rest_seconds)

    row = circuits.by_hand(team_id, name, take, "circuit.open", actor=actor, team=team)
    return row


def allow(team: Team, name: str, *, actor: Actor, is_operator: bool = False) -> CircuitRow:
    """Its next call may try whether it is well. Raises NotFound, NotAllowed, Conflict when it is closed."""
    team_id = _place(team, name, is_operator)
    _withdraw(team, team_id, name, actor)
    row = circuits.by_hand(
        team_id, name, lambda kept: rule.let_through(kept.circuit), "circuit.allow", actor=actor, team=team
    )
    if row.state == CircuitRow.State.CLOSED:
        raise Conflict("It is called already: nothing holds it back.", field="name")
    return row


def reset(team: Team, name: str, *, actor: Actor, is_operator: bool = False) -> CircuitRow:
    """Closed, as if nothing had happened. Raises NotFound, NotAllowed."""
    team_id = _place(team, name, is_operator)
    _withdraw(team, team_id, name, actor)
    return circuits.reset(circuits.circuit_of(team, name), actor=actor, team=team)


def _place(team: Team, name: str, is_operator: bool) -> int:
    """Whose circuit it is. An agent the team knows may be cut off before anything failed."""
    try:
        row = circuits.circuit_of(team, name)
    except NotFound:
        if not name.startswith(AGENT) or not _is_known(team, name.removeprefix(AGENT)):
            raise
        return team.pk
    if row.team_id == circuits.SHARED and not is_operator:
        raise NotAllowed(f'Other teams call "{name}" too: an operator does that.')
    return row.team_id


def _is_known(team: Team, agent: str) -> bool:
    was_seen = Agent.objects.filter(team=team, name=agent).exists()
    return was_seen or AgentDefinition.objects.filter(team=team, name=agent, archived_at=None).exists()


def _withdraw(team: Team, team_id: int, name: str, actor: Actor) -> None:
    """The question that a person was asked is none any more. In a transaction of its own: who decides it takes the same rows
    the other way round."""
    asked: UUID | None = (
        CircuitRow.objects.filter(team_id=team_id, name=name).values_list("approval", flat=True).first()
    )
    if asked is None:
        return
    try:
        approvals.cancel(team, asked, actor=actor)
    except (Conflict, NotFound):
        pass
