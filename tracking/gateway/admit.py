"""Before a call goes out: is the run alive, does it turn in circles, is there money. One trip to PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

from django.conf import settings

from tracking.errors import BudgetExceeded, Invalid, RunKilled, RunLimitExceeded, Unpriced
from tracking.gateway import loop_guard, pool
from tracking.gateway.asked import Asked
from tracking.gateway.ceiling import Priced, ceiling
from tracking.gateway.loop_guard import Judged
from tracking.gateway.routing import Route
from tracking.gateway.waiting import Place
from tracking.ledger import verbs
from tracking.ledger.calls import Answer, Call, Ceiling, Outcome, Standing
from tracking.ledger.verbs import Commit, Statement
from tracking.sql import statements

TRIES_MAX = 1_000_000  # ids set apart for each attempt's looks


@dataclass(slots=True)
class Held:
    """Money for one attempt. ``limit_tokens``: what each choice may be answered with, None when no budget says."""

    id: UUID
    answer: Answer
    ceiling: Ceiling
    call: Call
    priced: Priced
    steps: int = 0
    run_cost_usd: Decimal = Decimal(0)
    is_growing: bool = False  # an elastic hold, to be extended while the answer streams
    is_cut: bool = False  # the budget pays for fewer tokens than were asked for

    @property
    def limit_tokens(self) -> int | None:
        budget = self.answer.budget
        return self.answer.output_tokens if budget is not None and self.ceiling.wanted else None


@dataclass(slots=True)
class _Told:
    """What ``gateway_admit`` answers. ``version`` is None unless the run's memory has moved on."""

    outcome: str
    steps: int
    run_cost_usd: Decimal
    version: int | None
    loop_state: str | None
    kill_reason: str
    answer: Answer | None


async def admit(asked: Asked, route: Route, priced: Priced, *, attempt: int = 0) -> Held:
    """Hold the money of one attempt; the first one counts as a step of its run.

    While a budget is short only because of what others hold, waits up to WFLO_BUDGET_WAIT_MS. Raises RunKilled,
    RunLimitExceeded, LoopDetected, BudgetExceeded, Unpriced, Unavailable.
    """
    with Place(time.monotonic() + settings.WFLO_BUDGET_WAIT_MS / 1000) as place:
        return await _admitted(asked, route, priced, attempt, place)


async def _admitted(asked: Asked, route: Route, priced: Priced, attempt: int, place: Place) -> Held:
    call = _call(asked, route)
    is_exact = settings.WFLO_INPUT_BOUND == "bytes"
    most = ceiling(asked, route, priced)
    first: _Told | None = None  # the run counted this step
    judged = await _judged(asked) if attempt == 0 else None
    for number in count(attempt * TRIES_MAX):
        id = asked.id if number == 0 else verbs.attempt_id(asked.id, number)
        told = await _ask(asked, call, most, id, judged, is_first=attempt == 0 and first is None)
        _refuse_run(asked, told)
        if told.version is not None and judged is not None:
            judged = loop_guard.judge_again(asked, judged, told.version, told.loop_state)
            if loop_guard.must_refuse(judged):
                await _take_back(asked, call, id, told)
                await _refuse_loop(asked, judged)
        answer = told.answer
        assert answer is not None
        if answer.is_held and first is None:
            first = told
        if not is_exact and (answer.outcome is Outcome.REFUSED or _is_cut(answer, most)):
            is_exact = True  # bytes bound the tokens too widely for what is left: count them
            near = await asyncio.to_thread(ceiling, asked, route, priced, is_exact=True)
            if near.base_tokens < most.base_tokens:
                if answer.is_held:
                    await pool.do(verbs.release(asked.caller.team_id, id))
                most = near
                continue
        if answer.outcome is Outcome.REFUSED and answer.may_wait and answer.budget is not None and place.may_wait:
            await place.wait(answer.budget.id)
            continue
        _refuse_money(asked, route, answer)
        await _refuse_unforeseen(asked, id, answer)
        asked.judged = judged or asked.judged
        return _held(id, answer, most, call, priced, first or told)
    raise AssertionError


async def _judged(asked: Asked) -> Judged | None:
    judged = loop_guard.judge(asked)
    if judged is not None and loop_guard.must_refuse(judged):
        judged = await loop_guard.fresh(asked, judged)
        await _refuse_loop(asked, judged)
    return judged


async def _take_back(asked: Asked, call: Call, id: UUID, told: _Told) -> None:
    """The call is not made: nothing is held for it, and it is no step of its run."""
    if told.answer is not None and told.answer.is_held:
        parameters = {"team": asked.caller.team_id, "run": call.run, "id": id, "commit": None}
        await pool.do(Statement(statements("gateway")["take_back"], parameters, len, Commit.LATER))


async def _refuse_loop(asked: Asked, judged: Judged) -> None:
    if loop_guard.must_refuse(judged):
        await pool.do(loop_guard.told(asked, judged))
        raise loop_guard.refuse(asked, judged)


def _held(id: UUID, answer: Answer, most: Ceiling, call: Call, priced: Priced, told: _Told) -> Held:
    budget = answer.budget
    return Held(
        id,
        answer,
        most,
        call,
        priced,
        told.steps,
        told.run_cost_usd,
        is_growing=bool(most.slice) and budget is not None and budget.mode == "elastic",
        is_cut=_is_cut(answer, most),
    )


def _is_cut(answer: Answer, most: Ceiling) -> bool:
    return answer.is_held and answer.budget is not None and answer.output_tokens < most.wanted


def _call(asked: Asked, route: Route) -> Call:
    return Call(
        team_id=asked.caller.team_id,
        key_id=asked.caller.key_id or "",
        run=asked.root if asked.is_named or asked.run_budget_usd is not None else "",
        run_budget_usd=asked.run_budget_usd,
        agent=asked.agent,
        user=asked.user,
        job=asked.job,
        models=(asked.model, route.model) if asked.model != route.model else (route.model,),
    )


async def _ask(asked: Asked, call: Call, most: Ceiling, id: UUID, judged: Judged | None, *, is_first: bool) -> _Told:
    policy = asked.caller.policy
    reserve = verbs.reserve(call, most, id=id, lease_ms=settings.LIMITS["hold_lease_ms"], detail=_detail(asked))
    parameters = {
        **reserve.parameters,
        "run": call.run if is_first else "",
        "own_name": asked.run,
        "version": judged.version if judged is not None and is_first else None,
        "steps_max": policy.run_steps_max,
        "minutes_max": policy.run_minutes_max,
        "idle_minutes_max": policy.run_idle_minutes_max,
    }
    return await pool.do(Statement(statements("gateway")["admit"], parameters, _read, reserve.commit))


def _read(rows: list[tuple[Any, ...]]) -> _Told:
    outcome, steps, cost, version, loop_state, reason, *held = rows[0]
    answer = Answer.from_row(tuple(held)) if held[0] is not None else None
    return _Told(outcome, steps or 0, cost or Decimal(0), version, loop_state, reason or "", answer)


def _detail(asked: Asked) -> dict[str, Any]:
    return {"call": str(asked.id), "requested": asked.model, "purpose": asked.purpose} if asked.purpose else {
        "call": str(asked.id), "requested": asked.model}  # fmt: skip


def _refuse_run(asked: Asked, told: _Told) -> None:
    if told.outcome == "killed":
        raise RunKilled(
            f"The run was stopped: {told.kill_reason or 'no reason given'}. No more calls are made for it.",
            run_id=asked.run,
            kill_reason=told.kill_reason,
        )
    words = {
        "steps": f"The run has made {told.steps} calls, the most a run of this team may make.",
        "minutes": "The run has lasted as long as a run of this team may.",
        "idle": "The run was quiet for longer than a run of this team may be; begin another.",
    }.get(told.outcome)
    if words is not None:
        raise RunLimitExceeded(words, run_id=asked.run, step=told.steps, limit=told.outcome)


def _refuse_money(asked: Asked, route: Route, answer: Answer) -> None:
    budget = answer.budget
    if answer.outcome is Outcome.UNPRICED and budget is not None:
        raise Unpriced(
            f'"{route.model}" has no price, and the budget "{budget.name}" is in dollars. Set a price under /prices or'
            f" with PUT /api/v1/prices/{route.model}; a model that is free is priced 0.",
            field="model",
            model=route.model,
            budget=budget.name,
        )
    if answer.outcome is Outcome.REFUSED and budget is not None:
        raise BudgetExceeded(_refusal(budget, answer), run_id=asked.run, **_figures(asked.root, budget, answer))
    if answer.outcome in (Outcome.EXISTS, Outcome.CLOSED):
        raise Invalid("This call was made before.")


async def _refuse_unforeseen(asked: Asked, id: UUID, answer: Answer) -> None:
    """Under a hard budget nothing is called whose price is known only afterwards."""
    what = asked.dialect.unforeseen(asked.body) if answer.budget is not None else ""
    if not what or answer.budget is None:
        return
    await pool.do(verbs.release(asked.caller.team_id, id))
    raise Unpriced(
        f'The budget "{answer.budget.name}" is a hard one, and nobody can say beforehand what {what} costs: the provider'
        " runs it and counts it afterwards. Run the tool yourself, or make the budget a soft one.",
        field="tools",
        budget=answer.budget.name,
        budget_id=str(answer.budget.id),
    )


def _refusal(budget: Standing, answer: Answer) -> str:
    parts = [f'The budget "{budget.name}"{f" of {budget.subject}" if budget.subject else ""} cannot pay for this call.']
    if budget.limit_usd is not None:
        parts.append(
            f"Limit {_usd(budget.limit_usd)}, spent {_usd(budget.spent_usd)}, held {_usd(budget.held_usd)},"
            f" free {_usd(budget.free_usd)}."
        )
    if budget.limit_tokens is not None:
        parts.append(
            f"Limit {budget.limit_tokens:,} tokens, spent {budget.spent_tokens:,}, held {budget.held_tokens:,}."
        )
    if answer.may_wait:
        parts.append("It may be free again when the calls under way have settled.")
    elif budget.ends_at is not None:
        parts.append(f"Its next window begins {budget.ends_at:%Y-%m-%d %H:%M %Z}.")
    else:
        parts.append("It stays so until someone raises the limit.")
    return " ".join(parts)


def _usd(value: Decimal | None) -> str:
    """To six decimals, and as far as they go where six would say nothing."""
    if value is None:
        return "unknown"
    text = f"{value:.6f}"
    return f"${text if not value or Decimal(text) else f'{value:.10f}'}"


def _window(budget: Standing, run: str) -> str:
    """The word for a budget's window, as AgentWall's clients read it."""
    if budget.starts_at is None or budget.ends_at is None:
        return "run" if run and run in budget.subject else "total"
    days = (budget.ends_at - budget.starts_at).days
    return "daily" if days < 2 else "weekly" if days < 10 else "monthly"


def _figures(run: str, budget: Standing, answer: Answer) -> dict[str, Any]:
    """What a program needs to decide: which budget, how it stands, when it may be free."""
    in_money = budget.limit_usd is not None
    free_at = answer.free_at if answer.may_wait else budget.ends_at
    return {
        "budget_id": str(budget.id),
        "budget": budget.name,
        "exceeded_limit": _window(budget, run),
        "limit": float(budget.limit_usd) if budget.limit_usd is not None else budget.limit_tokens,
        "current_cost": float(budget.spent_usd or 0) if in_money else budget.spent_tokens,
        "held": float(budget.held_usd or 0) if in_money else budget.held_tokens,
        "available": float(budget.free_usd or 0) if in_money else budget.free_tokens,
        "starts_at": budget.starts_at.isoformat() if budget.starts_at is not None else None,
        "unit": "usd" if in_money else "tokens",
        "free_at": free_at.isoformat() if free_at is not None else None,
    }
