"""Circuits over HTTP: which agents, components and deployments are given a rest; opening and closing one by hand."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Field, Router, Schema

from tracking import agent_breaker, circuits
from tracking.errors import Invalid, NotFound, WfloServerError
from tracking.keys import ApiKeyAuth, Caller, Scope
from tracking.models import Circuit, Team
from tracking.reading_json import write
from wflo import circuits as rule
from wflo.agent_breaker import BreakerPolicy, Mode
from wflo.circuits import CircuitPolicy, Outcome

READ = ApiKeyAuth(Scope.READ)
reading = Router(auth=READ, tags=["Circuits"])
router = Router(auth=ApiKeyAuth(Scope.ADMIN), tags=["Circuits"])
asking = Router(auth=ApiKeyAuth(Scope.INGEST, Scope.JOBS), tags=["Circuits"])


class Asked(Schema):
    policy: dict[str, Any] = Field(
        default_factory=dict,
        description="failures_max, error_rate_max, tokens_max, window_seconds, "
        "rest_seconds, probe_seconds, calls_min, successes_min: what is not said is usual",
    )

    def read(self) -> CircuitPolicy:
        """Raises Invalid naming the field."""
        known = set(CircuitPolicy.__dataclass_fields__)
        unknown = next((name for name in self.policy if name not in known), None)
        if unknown is not None:
            raise Invalid(f"{unknown[:40]} is no part of a circuit's policy.", field="policy")
        try:
            return CircuitPolicy(**self.policy)
        except (TypeError, ValueError) as error:
            raise Invalid(str(error), field="policy") from error


class Told(Asked):
    successes: int = Field(0, ge=0, le=10**6)
    failures: int = Field(0, ge=0, le=10**6)
    tokens: int = Field(0, ge=0, le=10**12)
    error: str = ""
    probe: UUID | None = None


class Leave(Schema):
    allowed: bool
    probe: UUID | None = Field(
        description="this call tries whether the component is well: say it with what became of it"
    )
    state: Circuit.State
    retry_after_s: float | None
    failure_count: int = Field(description="in a row")


class Moved(Schema):
    state: Circuit.State
    failure_count: int


class Opened(Schema):
    reason: str = Field(max_length=agent_breaker.REASON_CHARACTERS_MAX, description="callers are told")
    minutes: int | None = Field(None, description="that it rests; null: until somebody lets it be tried")


class CircuitShown(Schema):
    name: str = Field(description="agent:<name>, component:<name> or deployment:<id>")
    kind: Literal["agent", "component", "deployment"]
    model: str | None = Field(description="of a deployment: what it calls")
    is_shared: bool = Field(description="other teams call it too; an operator's key is needed to reset it")
    state: Circuit.State
    failures: int = Field(description="in a row")
    calls: int = Field(description="in its window, as errors and hits")
    errors: int
    hits: int = Field(description="of a guardrail")
    last_error: str
    why: str = Field(description="it is not closed")
    opened_at: datetime | None
    retry_at: datetime | None = Field(description="when one call is let through to try it")
    is_held: bool = Field(description="no time opens the way: somebody lets it be tried")
    approval: UUID | None = Field(description="the question whether it may be tried")
    changed_at: datetime


class BreakerPolicyShown(Schema):
    mode: Mode = Field(Mode.OFF, description="off; tell: an alert, and its calls go on; on")
    failures_max: int | None = Field(None, description="of its calls in a row; null: any number")
    speed_max: Decimal | None = Field(None, description="times what it usually spends in as long; null: any")
    speed_minutes: int = 15
    speed_usd_min: Decimal = Field(Decimal(1), description="less is never too fast")
    speed_hours_min: int = Field(24, description="hours with any spend in the last 28 days: fewer say nothing")
    on_loop: bool = True
    hits_max: int | None = Field(None, description="of a guardrail, in hits_minutes; null: any number")
    hits_minutes: int = 60
    rest_minutes: int = 15
    needs_approval: bool = Field(False, description="before it is tried again, whatever the time")


class Circuits(Schema):
    circuits: list[CircuitShown]


@reading.get("/circuits", response=Circuits, summary="Circuits that ever failed, what is cut off first")
def list_circuits(request: HttpRequest) -> dict[str, Any]:
    found = circuits.circuits_of(_team(request))
    models = circuits.models_of(found)
    return {"circuits": [_json(row, models) for row in found]}


@asking.post("/circuits/{path:name}/ask", response=Leave, summary="May a component of an agent be called?")
def ask_circuit(request: HttpRequest, name: str, body: Asked | None = None) -> dict[str, Any]:
    policy = (body or Asked()).read()
    circuit, is_allowed, probe, now = circuits.ask(_team(request).pk, circuits.COMPONENT + _component(name), policy)
    wait_s = None if is_allowed else rule.wait_seconds(circuit, now)
    return {
        "allowed": is_allowed, "probe": probe, "state": circuit.state, "retry_after_s": wait_s,
        "failure_count": circuit.failures,
    }  # fmt: skip


@asking.post("/circuits/{path:name}/told", response=Moved, summary="Say what became of its calls")
def tell_circuit(request: HttpRequest, name: str, body: Told) -> dict[str, Any]:
    outcome = Outcome(
        successes=body.successes, failures=body.failures, tokens=body.tokens, error=body.error[:500], probe=body.probe
    )
    team, name = _team(request), _component(name)
    after = circuits.told(team.pk, circuits.COMPONENT + name, body.read(), outcome, shown=name)
    return {"state": after.state, "failure_count": after.failures}


@reading.get("/circuits/{path:name}/status", response=CircuitShown, summary="How a circuit stands")
def circuit_status(request: HttpRequest, name: str) -> dict[str, Any]:
    return _shown(_found(_team(request), name))


@router.post("/circuits/{path:name}/reset", response=CircuitShown, summary="It is well: call it again")
def reset_circuit(request: HttpRequest, name: str) -> dict[str, Any]:
    team = _team(request)
    return _shown(agent_breaker.reset(team, _found(team, name).name, **_hand(request)))


@router.post("/circuits/{path:name}/allow", response=CircuitShown, summary="Its next call may try whether it is well")
def allow_circuit(request: HttpRequest, name: str) -> dict[str, Any]:
    team = _team(request)
    return _shown(agent_breaker.allow(team, _found(team, name).name, **_hand(request)))


@router.post("/circuits/{path:name}/open", response=CircuitShown, summary="Cut it off")
def open_circuit(request: HttpRequest, name: str, body: Opened) -> dict[str, Any]:
    team = _team(request)
    try:
        name = _found(team, name).name
    except NotFound:  # an agent that never failed
        if not name.startswith(circuits.AGENT):
            raise
    hand = _hand(request)
    return _shown(agent_breaker.open_by_hand(team, name, reason=body.reason, minutes=body.minutes, **hand))


@router.get("/breaker", auth=READ, response=BreakerPolicyShown, summary="When the team's agents are cut off")
def get_breaker(request: HttpRequest) -> HttpResponse:
    return _policy(agent_breaker.policy_of(_team(request)))


@router.put("/breaker", response=BreakerPolicyShown, summary="Change it: what is not said stays")
def put_breaker(request: HttpRequest, body: BreakerPolicyShown) -> HttpResponse:
    given = body.dict(exclude_unset=True)
    return _policy(agent_breaker.set_policy(_team(request), given, actor=_hand(request)["actor"]))


def _policy(policy: BreakerPolicy) -> HttpResponse:
    return HttpResponse(write(asdict(policy)), content_type="application/json")


def _component(name: str) -> str:
    """Raises Invalid for a name that is too long."""
    if not 0 < len(name) <= 180:
        raise Invalid("A component's name has 1 to 180 characters.", field="name")
    return name


def _found(team: Team, name: str) -> Circuit:
    """A component's, by the name its agents give it, else by the circuit's own."""
    try:
        return circuits.circuit_of(team, circuits.COMPONENT + name)
    except NotFound:
        return circuits.circuit_of(team, name)


def _json(row: Circuit, models: dict[str, str]) -> dict[str, Any]:
    own = ("kind", "model", "is_shared")
    shown = {name: getattr(row, name) for name in CircuitShown.model_fields if name not in own}
    kind = row.name.partition(":")[0]
    return shown | {"kind": kind, "model": models.get(row.name), "is_shared": row.team_id == circuits.SHARED}


def _shown(row: Circuit) -> dict[str, Any]:
    return _json(row, circuits.models_of([row]))


def _hand(request: HttpRequest) -> dict[str, Any]:
    caller = _caller(request)
    return {"actor": caller.actor(request_id=getattr(request, "id", "")), "is_operator": caller.is_operator}


def _caller(request: HttpRequest) -> Caller:
    caller = request.auth  # type: ignore[attr-defined]
    if not isinstance(caller, Caller):
        raise WfloServerError("A door without a key in front of it.")
    return caller


def _team(request: HttpRequest) -> Team:
    return Team.objects.get(pk=_caller(request).team_id)
