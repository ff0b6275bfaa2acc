"""An alert in plain words: what happened, what to do about it, where to look. Pure.

Whoever opens an alert gives facts in ``payload``; what is missing is left out of the sentence. By kind:

budget    budget, subject, percent, mode, spent_usd or spent_tokens with limit_, ends_at; of a refusal is_refusal, limit,
          current_cost, held, unit, free_at
overage   budget, subject, spent_usd or spent_tokens with limit_; usd, held_usd, model of the call that did it
loop      cycle (names of steps), times, first_step (its number in the run), burned_usd, action: warn, block, kill
killed    reason, by
circuit   circuit, errors, calls, until; why, is_held; of an agent's breaker agent, goes_on (it only tells)
credit    left, of
unpriced  models, calls
errors    percent, threshold, errors, calls, since
latency   p95_ms, threshold, calls, since
spike     spent_usd, usual_usd, percent, weekday
drift     budget, subject, spent_ and entered_, held_ and open_ (usd, tokens); or chain: what, entry_id
stuck     what, since; of a hold reservation_id, held_usd

A payload may bring words of its own: title, what, todo, path. Names come from agents: they are cut and of one line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Protocol
from urllib.parse import quote

from tracking.alerts.phrases import (
    SENTENCE_CHARACTERS,
    amount,
    as_sentence,
    clean,
    count,
    exact,
    moment,
    names,
    plain,
    read_number,
    seconds,
    usd,
)


class Told(Protocol):
    """What of an alert the words need."""

    kind: str
    run: str
    agent: str
    payload: dict[str, Any]
    times: int


@dataclass(frozen=True, slots=True)
class Words:
    """``path`` is of the page that shows more, '' when there is none."""

    title: str
    what: str = ""
    todo: str = ""
    path: str = ""

    @property
    def body(self) -> str:
        return " ".join(part for part in (self.what, self.todo) if part)


def sentence(alert: Told) -> Words:
    facts = alert.payload if isinstance(alert.payload, dict) else {}
    own = _own(facts)
    if own is not None:
        return own
    words = _tidy(_KINDS.get(alert.kind, _other)(facts, alert))
    return replace(words, path=f"/runs/{quote(alert.run, safe='')}") if alert.run and not words.path else words


def event_words(event: str, payload: Mapping[str, Any]) -> Words:
    """An event in one sentence. ``payload`` names the thing: run_id or job_id, name, agent, cost_usd, error, reason."""
    own = _own(payload)
    if own is not None:
        return own
    what, _, happened = event.partition(".")
    if what == "approval":
        return _approval(payload)
    thing = clean(payload.get("name") or payload.get(f"{what}_id") or "")
    title = f"{what.capitalize()} {thing} {_HAPPENED.get(happened, happened)}"
    parts = [
        f"It cost {usd(payload['cost_usd'])}." if payload.get("cost_usd") is not None else "",
        as_sentence(payload.get("error") or payload.get("reason") or ""),
    ]
    run = str(payload.get("run_id") or "")
    return _tidy(Words(title, " ".join(filter(None, parts)), "", f"/runs/{quote(run, safe='')}" if run else ""))


def _approval(payload: Mapping[str, Any]) -> Words:
    action, risk = clean(payload.get("action") or "something"), clean(payload.get("risk") or "")
    if payload.get("status"):
        return _decided(payload, action)
    title = f"An agent asks: may {action} be done?"
    return _tidy(
        Words(title, as_sentence(clean(payload.get("question") or "")), f"Risk: {risk}." if risk else "", "/approvals")
    )


def _decided(payload: Mapping[str, Any], action: str) -> Words:
    by, status = clean(payload.get("decided_by") or ""), clean(payload["status"])
    title = f"{action} was {status}" if status != "expired" else f"Nobody said whether {action} may be done"
    who = f"by {by}" if by and status != "expired" else ""
    return _tidy(Words(f"{title} {who}", as_sentence(clean(payload.get("comment") or "")), "", "/approvals?state=all"))


_HAPPENED = {
    "completed": "is done",
    "failed": "failed",
    "killed": "was stopped",
    "rollback": "is to go back to a checkpoint",
}


# --- by kind ----------------------------------------------------------------------------------------------------------


def _budget(facts: Mapping[str, Any], alert: Told) -> Words:
    if facts.get("is_refusal"):
        return _refusal(facts)
    percent = read_number(facts.get("percent"))
    is_used_up = percent is not None and percent >= 100
    name = _budget_name(facts)
    title = f"{name} is used up" if is_used_up else f"{name} is {plain(percent)}% spent"
    ends = moment(facts.get("ends_at"))
    spent = _of(facts, "spent", "limit")
    what = f"{spent} is spent" + (f"; the window ends {ends}." if ends else ".") if spent else ""
    if facts.get("mode") == "soft":
        todo = "It only alerts: calls go on."
    elif is_used_up:
        todo = f"Calls under it are refused{f' until {ends}' if ends else ''}. Raise the limit and they go on."
    else:
        todo = "When it is used up, calls under it are refused. Raise the limit, or let it stop them."
    return Words(title, what, todo, _budget_path(facts))


def _refusal(facts: Mapping[str, Any]) -> Words:
    """The first call in a window that was not made."""
    unit = str(facts.get("unit") or "usd")
    spent, limit, held = (amount(facts.get(name), unit) for name in ("current_cost", "limit", "held"))
    free = moment(facts.get("free_at"))
    what = f"{spent} of {limit} is spent, {held} is held for calls under way." if spent and limit and held else ""
    todo = (
        f"Raise the limit{f', or wait until {free}' if free else ''}: until then calls that it cannot pay are refused."
    )
    return Words(f"{_budget_name(facts)} refuses calls", what, todo, _budget_path(facts))


def _overage(facts: Mapping[str, Any], alert: Told) -> Words:
    cost, held, model = facts.get("usd"), facts.get("held_usd"), clean(facts.get("model") or "")
    parts = [
        f"{spent} is spent." if (spent := _of(facts, "spent", "limit")) else "",
        f"A call{f' of {model}' if model else ''} cost {usd(cost)}, and {usd(held)} was held for it."
        if cost is not None and held is not None
        else "",
    ]
    todo = "The next calls are refused until there is room."
    return Words(f"{_budget_name(facts)} went over its limit", " ".join(filter(None, parts)), todo, _budget_path(facts))


def _loop(facts: Mapping[str, Any], alert: Told) -> Words:
    steps = names(facts.get("cycle"))
    cycle = " → ".join(steps[:6]) + (" → …" if len(steps) > 6 else "")
    times = read_number(facts.get("times"))
    title = f"{_agent(alert)} goes round in a loop" + (f": {cycle}" if cycle else "")
    step = read_number(facts.get("first_step"))
    began = f"it began at step {plain(step)}" if step else "it began"
    burned = f"{usd(facts['burned_usd'])} burned since {began}" if facts.get("burned_usd") is not None else ""
    what = ", ".join(filter(None, [f"{plain(times)} times so far" if times is not None else "", burned]))
    todo = {
        "kill": "The run was stopped.",
        "block": "Its next calls are refused while it goes on so.",
        "warn": "Nobody stops it: stop the run if it gets nowhere.",
    }.get(str(facts.get("action")), "Look at the steps, and stop the run if it gets nowhere.")
    return Words(title, as_sentence(what), todo)


def _killed(facts: Mapping[str, Any], alert: Told) -> Words:
    by = clean(facts.get("by") or "")
    title = f"A run of {_agent(alert, start=False)} was stopped" + (f" by {by}" if by else "")
    return Words(
        title, as_sentence(facts.get("reason") or ""), "Its later calls are refused. What it spent is recorded."
    )


def _circuit(facts: Mapping[str, Any], alert: Told) -> Words:
    name, errors, calls = (
        clean(facts.get("circuit") or "A circuit"),
        *map(read_number, (facts.get("errors"), facts.get("calls"))),
    )
    what = f"{plain(errors)} of its last {plain(calls)} calls failed." if errors is not None and calls else ""
    what = as_sentence(facts.get("why") or "") or what
    until = moment(facts.get("until"))
    if facts.get("goes_on"):
        todo = (
            "Its calls go on: the team's breaker only tells. Look at what it does, or let the breaker cut agents off."
        )
        return Words(f"{name} would be cut off", what, todo, "/circuits")
    if facts.get("is_held"):
        todo = "Its calls are refused until somebody lets one try."
    elif facts.get("agent"):
        todo = (
            f"Its calls are refused until {until}; then one may try." if until else "Its calls are refused for a while."
        )
    else:
        todo = (
            f"It is left alone until {until}, then tried with one call." if until else "It is tried again in a while."
        )
    return Words(f"{name} is cut off", what, todo, "/circuits")


def _credit(facts: Mapping[str, Any], alert: Told) -> Words:
    left, of = read_number(facts.get("left")), read_number(facts.get("of"))
    if left is not None and left <= 0:
        return Words("No credits are left", "", "New jobs are refused until credits are added.", "/credits")
    have = f"{plain(left)} of {plain(of)} left" if left is not None and of else ""
    todo = "Add credits before they are gone; then jobs are refused."
    return Words("Credits run low", as_sentence(have), todo, "/credits")


def _unpriced(facts: Mapping[str, Any], alert: Told) -> Words:
    models = names(facts.get("models"))
    shown = ", ".join(models[:3]) + (f" and {len(models) - 3} more" if len(models) > 3 else "")
    calls = read_number(facts.get("calls"))
    one = len(models) == 1
    what = f"{count(calls, 'call')} today cost an unknown amount." if calls is not None else ""
    title = f"{shown or 'A model'} {'has' if one or not models else 'have'} no price"
    path = f"/prices?q={quote(models[0], safe='')}" if one else "/prices"
    return Words(title, what, "Set a price and past calls can be charged again.", path)


def _errors(facts: Mapping[str, Any], alert: Told) -> Words:
    percent, threshold = read_number(facts.get("percent")), read_number(facts.get("threshold"))
    title = f"{plain(percent)}% of {_whose(alert)} model calls fail"
    what = (
        f"{plain(read_number(facts.get('errors')))} of {count(read_number(facts.get('calls')), 'call')}{_since(facts)}"
    )
    return Words(title, f"{what}; the rule says {plain(threshold)}%.", "Look at what they say.", _runs(alert, "error"))


def _latency(facts: Mapping[str, Any], alert: Told) -> Words:
    p95, threshold = read_number(facts.get("p95_ms")), read_number(facts.get("threshold"))
    whose = _whose(alert) if alert.agent else "The team's"
    title = f"{whose} model calls are slow: p95 {seconds(p95)}"
    what = f"Over {count(read_number(facts.get('calls')), 'call')}{_since(facts)}; the rule says {seconds(threshold)}."
    return Words(title, what, "See which model or provider takes so long.", _runs(alert, ""))


def _spike(facts: Mapping[str, Any], alert: Told) -> Words:
    spent, usual = read_number(facts.get("spent_usd")), read_number(facts.get("usual_usd"))
    more = f" {plain(round(spent / usual, 1))} times the usual" if spent is not None and usual else " more than usual"
    who = f"{_agent(alert)} costs" if alert.agent else "Today costs"
    by = f" by now on a {clean(facts['weekday'])}" if facts.get("weekday") else " by now"
    what = f"{usd(spent)} so far; usually it is {usd(usual)}{by}." if usual is not None else f"{usd(spent)} so far."
    agent = f"&agent={quote(alert.agent, safe='')}" if alert.agent else ""
    return Words(f"{who}{more}", what, "See who spends it.", f"/costs?from=now/d{agent}")


def _drift(facts: Mapping[str, Any], alert: Told) -> Words:
    todo = "Nothing was changed by itself. Ask an operator to look."
    chain = facts.get("chain")
    if isinstance(chain, Mapping):
        entry, broken = chain.get("entry_id"), chain.get("what")
        is_told = entry is not None and broken is not None
        what = f"Entry {clean(entry)} is {clean(broken)}: what was written once reads otherwise." if is_told else ""
        return Words("The ledger's chain of entries does not hold", what, todo)
    pairs = [("spent", "entered", "its entries make"), ("held", "open", "its open holds make")]
    parts = [
        f"{said.capitalize()} says {a}, {words} {b}."
        for said, found, words in pairs
        for unit in ("usd", "tokens")
        if (a := exact(facts.get(f"{said}_{unit}"), unit)) != (b := exact(facts.get(f"{found}_{unit}"), unit))
    ]
    name = _budget_name(facts, start=False)
    return Words(f"The ledger does not add up: {name}", " ".join(parts), todo, _budget_path(facts))


def _stuck(facts: Mapping[str, Any], alert: Told) -> Words:
    if facts.get("reservation_id"):
        held = f"{usd(facts.get('held_usd'))} stays held on its budgets; it is tried again every few minutes."
        return Words("Money held for a call cannot be given back", held, "Ask an operator to look.")
    since = moment(facts.get("since"))
    what = clean(facts.get("what") or "") or (f"The run of {_agent(alert, start=False)}" if alert.run else "Something")
    heard = f"Nothing was heard of it since {since}." if since else ""
    return Words(f"{what} does not get on", heard, "See where it stands, or stop it.")


def _other(facts: Mapping[str, Any], alert: Told) -> Words:
    return Words(f"{clean(alert.kind).capitalize() or 'Something'} needs a look")


_KINDS: dict[str, Callable[[Mapping[str, Any], Told], Words]] = {
    "budget": _budget,
    "overage": _overage,
    "loop": _loop,
    "killed": _killed,
    "circuit": _circuit,
    "credit": _credit,
    "unpriced": _unpriced,
    "errors": _errors,
    "latency": _latency,
    "spike": _spike,
    "drift": _drift,
    "stuck": _stuck,
}


# --- parts of sentences -------------------------------------------------------------------------------------------------


def _tidy(words: Words) -> Words:
    """A name that is nothing leaves no hole."""
    title, what, todo = (clean(text, SENTENCE_CHARACTERS) for text in (words.title, words.what, words.todo))
    return Words(title, what, todo, words.path)


def _own(facts: Mapping[str, Any]) -> Words | None:
    if not isinstance(facts.get("title"), str):
        return None
    title, what, todo = (clean(facts.get(name) or "", SENTENCE_CHARACTERS) for name in ("title", "what", "todo"))
    path = str(facts.get("path") or "")
    return Words(title, what, todo, path if path.startswith("/") and not path.startswith(("//", "/\\")) else "")


def _budget_name(facts: Mapping[str, Any], *, start: bool = True) -> str:
    name, subject = clean(facts.get("budget") or ""), clean(facts.get("subject") or "")
    the = "The budget" if start else "the budget"
    return the + (f" {name}" if name else "") + (f" for {subject}" if subject else "")


def _of(facts: Mapping[str, Any], part: str, whole: str) -> str:
    """ "$7.50 of $10.00", of whichever is nearer its end."""
    pairs = [(facts.get(f"{part}_{unit}"), facts.get(f"{whole}_{unit}"), unit) for unit in ("usd", "tokens")]
    known = [(read_number(a), read_number(b), unit) for a, b, unit in pairs if a is not None and b is not None]
    shares = [(a / b if b else Decimal(1), a, b, unit) for a, b, unit in known if a is not None and b is not None]
    if not shares:
        return ""
    _, spent, limit, unit = max(shares)
    return f"{usd(spent)} of {usd(limit)}" if unit == "usd" else f"{plain(spent)} of {plain(limit)} tokens"


def _budget_path(facts: Mapping[str, Any]) -> str:
    return f"/budgets/{quote(str(facts.get('budget_id') or ''), safe='')}".rstrip("/")


def _agent(alert: Told, *, start: bool = True) -> str:
    return clean(alert.agent) or ("An agent" if start else "an agent")


def _whose(alert: Told) -> str:
    return f"{clean(alert.agent)}'s" if alert.agent else "the team's"


def _runs(alert: Told, flags: str) -> str:
    words = {"from": "now-3h", "agent": alert.agent, "flags": flags}
    return "/runs?" + "&".join(f"{name}={quote(value, safe='/')}" for name, value in words.items() if value)


def _since(facts: Mapping[str, Any]) -> str:
    since = moment(facts.get("since"))
    return f" since {since}" if since else ""
