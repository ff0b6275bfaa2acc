"""An alert in plain words: what happened, what to do about it, where to look. Pure.

Whoever opens an alert gives facts in ``payload``; what is missing is left out of the sentence. By kind:

budget    budget, subject, percent, mode, spent_usd or spent_tokens with limit_, ends_at
overage   budget, subject, over_usd, limit_usd
loop      cycle (names of steps), times, first_step (a span's id), burned_usd, action: warned, blocked, killed
killed    reason, by
circuit   circuit, errors, calls, until
credit    left, of
unpriced  models, calls
errors    percent, threshold, errors, calls, since
latency   p95_ms, threshold, calls, since
spike     spent_usd, usual_usd, percent, weekday
drift     budget, subject, said_usd, entries_usd
stuck     what, since

A payload may bring words of its own: title, what, todo, path. Names come from agents: they are cut and of one line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol
from urllib.parse import quote

NAME_CHARACTERS = 80
SENTENCE_CHARACTERS = 600
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]+")


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
    words = _KINDS.get(alert.kind, _other)(facts, alert)
    if not words.path and alert.run:
        return Words(words.title, words.what, words.todo, f"/runs/{quote(alert.run, safe='')}")
    return words


def event_words(event: str, payload: Mapping[str, Any]) -> Words:
    """An event in one sentence. ``payload`` names the thing: run_id or job_id, name, agent, cost_usd, error, reason."""
    own = _own(payload)
    if own is not None:
        return own
    what, _, happened = event.partition(".")
    thing = clean(payload.get("name") or payload.get(f"{what}_id") or "")
    title = f"{what.capitalize()} {thing} {_HAPPENED.get(happened, happened)}".replace("  ", " ")
    parts = [
        f"It cost {usd(payload['cost_usd'])}." if payload.get("cost_usd") is not None else "",
        _as_sentence(payload.get("error") or payload.get("reason") or ""),
    ]
    run = str(payload.get("run_id") or "")
    return Words(title, " ".join(filter(None, parts)), "", f"/runs/{quote(run, safe='')}" if run else "")


_HAPPENED = {"completed": "is done", "failed": "failed", "killed": "was stopped"}


# --- by kind ----------------------------------------------------------------------------------------------------------


def _budget(facts: Mapping[str, Any], alert: Told) -> Words:
    percent = _number(facts.get("percent"))
    is_used_up = percent is not None and percent >= 100
    name = _budget_name(facts)
    title = f"{name} is used up" if is_used_up else f"{name} is {_plain(percent)}% spent"
    ends = moment(facts.get("ends_at"))
    spent = _of(facts, "spent", "limit")
    what = f"{spent} is spent" + (f"; the window ends {ends}." if ends else ".") if spent else ""
    if facts.get("mode") == "soft":
        todo = "It only alerts: calls go on."
    elif is_used_up:
        todo = f"Calls under it are refused{f' until {ends}' if ends else ''}. Raise the limit and they go on."
    else:
        todo = "When it is used up, calls under it are refused. Raise the limit, or let it stop them."
    return Words(title, what, todo, f"/budgets/{quote(str(facts.get('budget_id') or ''), safe='')}".rstrip("/"))


def _overage(facts: Mapping[str, Any], alert: Told) -> Words:
    over = f" by {usd(facts['over_usd'])}" if facts.get("over_usd") is not None else ""
    todo = "What was spent was already paid for or reported late. The next calls are refused until there is room."
    path = f"/budgets/{quote(str(facts.get('budget_id') or ''), safe='')}".rstrip("/")
    return Words(f"{_budget_name(facts)} went over its limit{over}", _limit(facts), todo, path)


def _loop(facts: Mapping[str, Any], alert: Told) -> Words:
    steps = [clean(step) for step in facts.get("cycle") or () if isinstance(step, str)]
    cycle = " → ".join(steps[:6]) + (" → …" if len(steps) > 6 else "")
    times = _number(facts.get("times"))
    title = f"{_agent(alert)} goes round in a loop" + (f": {cycle}" if cycle else "")
    burned = f"{usd(facts['burned_usd'])} burned since it began" if facts.get("burned_usd") is not None else ""
    what = ", ".join(filter(None, [f"{_plain(times)} times so far" if times is not None else "", burned]))
    todo = {
        "killed": "The run was stopped.",
        "blocked": "Its next calls are refused.",
        "warned": "Nobody stops it: stop the run if it gets nowhere.",
    }.get(str(facts.get("action")), "Look at the steps, and stop the run if it gets nowhere.")
    step = str(facts.get("first_step") or "")
    path = f"/runs/{quote(alert.run, safe='')}?span={quote(step, safe='')}" if alert.run and step else ""
    return Words(title, _as_sentence(what), todo, path)


def _killed(facts: Mapping[str, Any], alert: Told) -> Words:
    by = clean(facts.get("by") or "")
    title = f"A run of {_agent(alert, start=False)} was stopped" + (f" by {by}" if by else "")
    return Words(
        title, _as_sentence(facts.get("reason") or ""), "Its later calls are refused. What it spent is recorded."
    )


def _circuit(facts: Mapping[str, Any], alert: Told) -> Words:
    errors, calls = _number(facts.get("errors")), _number(facts.get("calls"))
    what = f"{_plain(errors)} of its last {_plain(calls)} calls failed." if errors is not None and calls else ""
    until = moment(facts.get("until"))
    todo = f"It is left alone until {until}, then tried with one call." if until else "It is tried again in a while."
    return Words(f"{clean(facts.get('circuit') or 'A circuit')} is cut off", what, todo, "/gateway")


def _credit(facts: Mapping[str, Any], alert: Told) -> Words:
    left, of = _number(facts.get("left")), _number(facts.get("of"))
    if left is not None and left <= 0:
        return Words("No credits are left", "", "New jobs are refused until credits are added.")
    have = f"{_plain(left)} of {_plain(of)} left" if left is not None and of else ""
    return Words("Credits run low", _as_sentence(have), "Add credits before they are gone; then jobs are refused.")


def _unpriced(facts: Mapping[str, Any], alert: Told) -> Words:
    models = [clean(model) for model in facts.get("models") or () if isinstance(model, str)]
    shown = ", ".join(models[:3]) + (f" and {len(models) - 3} more" if len(models) > 3 else "")
    calls = _number(facts.get("calls"))
    one = len(models) == 1
    what = f"{_count(calls, 'call')} today cost an unknown amount." if calls is not None else ""
    title = f"{shown or 'A model'} {'has' if one or not models else 'have'} no price"
    path = f"/prices?q={quote(models[0], safe='')}" if one else "/prices"
    return Words(title, what, "Set a price and past calls can be charged again.", path)


def _errors(facts: Mapping[str, Any], alert: Told) -> Words:
    percent, threshold = _number(facts.get("percent")), _number(facts.get("threshold"))
    title = f"{_plain(percent)}% of {_whose(alert)} model calls fail"
    what = f"{_plain(_number(facts.get('errors')))} of {_count(_number(facts.get('calls')), 'call')}{_since(facts)}"
    return Words(
        title, f"{what}; the rule says {_plain(threshold)}%.", "Look at what they say.", _runs(alert, "error")
    )


def _latency(facts: Mapping[str, Any], alert: Told) -> Words:
    p95, threshold = _number(facts.get("p95_ms")), _number(facts.get("threshold"))
    whose = _whose(alert) if alert.agent else "The team's"
    title = f"{whose} model calls are slow: p95 {_seconds(p95)}"
    what = f"Over {_count(_number(facts.get('calls')), 'call')}{_since(facts)}; the rule says {_seconds(threshold)}."
    return Words(title, what, "See which model or provider takes so long.", _runs(alert, ""))


def _spike(facts: Mapping[str, Any], alert: Told) -> Words:
    spent, usual = _number(facts.get("spent_usd")), _number(facts.get("usual_usd"))
    more = f" {_plain(round(spent / usual, 1))} times the usual" if spent is not None and usual else " more than usual"
    who = f"{_agent(alert)} costs" if alert.agent else "Today costs"
    by = f" by now on a {clean(facts['weekday'])}" if facts.get("weekday") else " by now"
    what = f"{usd(spent)} so far; usually it is {usd(usual)}{by}." if usual is not None else f"{usd(spent)} so far."
    agent = f"&agent={quote(alert.agent, safe='')}" if alert.agent else ""
    return Words(f"{who}{more}", what, "See who spends it.", f"/costs?from=now/d{agent}")


def _drift(facts: Mapping[str, Any], alert: Told) -> Words:
    said, entries = facts.get("said_usd"), facts.get("entries_usd")
    what = f"It says {usd(said)}, its entries make {usd(entries)}." if said is not None and entries is not None else ""
    return Words(
        f"The ledger does not add up: {_budget_name(facts, start=False)}",
        what,
        "Nothing was changed by itself. Ask an operator to look.",
    )


def _stuck(facts: Mapping[str, Any], alert: Told) -> Words:
    since = moment(facts.get("since"))
    what = clean(facts.get("what") or "") or (f"The run of {_agent(alert, start=False)}" if alert.run else "Something")
    return Words(
        f"{what} does not get on",
        f"Nothing was heard of it since {since}." if since else "",
        "See where it stands, or stop it.",
    )


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


def clean(value: object, characters: int = NAME_CHARACTERS) -> str:
    """One line without control or direction marks, cut."""
    text = " ".join(_UNFIT.sub(" ", str(value)).split())
    return text if len(text) <= characters else text[: characters - 1] + "…"


def usd(value: object) -> str:
    """Under $1 four significant digits, from $1 two decimals; "an unknown amount" for None."""
    number = _number(value)
    if number is None:
        return "an unknown amount"
    sign, number = ("−" if number < 0 else ""), abs(number)
    if number == 0:
        return "$0"
    if number >= 1:
        return f"{sign}${number:,.2f}"
    digits = max(2, 3 - number.adjusted())
    return f"{sign}${number:.{min(digits, 10)}f}"


def moment(value: object) -> str:
    """A time of a payload as people read it; '' when it is none."""
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        return ""
    return f"{at:%Y-%m-%d %H:%M}" + (" UTC" if at.tzinfo is not None and not at.utcoffset() else f"{at:%z}")


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
    known = [(_number(a), _number(b), unit) for a, b, unit in pairs if a is not None and b is not None]
    shares = [(a / b if b else Decimal(1), a, b, unit) for a, b, unit in known if a is not None and b is not None]
    if not shares:
        return ""
    _, spent, limit, unit = max(shares)
    return f"{usd(spent)} of {usd(limit)}" if unit == "usd" else f"{_plain(spent)} of {_plain(limit)} tokens"


def _limit(facts: Mapping[str, Any]) -> str:
    return f"Its limit is {usd(facts['limit_usd'])}." if facts.get("limit_usd") is not None else ""


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


def _seconds(milliseconds: Decimal | None) -> str:
    if milliseconds is None:
        return "unknown"
    return f"{milliseconds / 1000:.1f} s" if milliseconds >= 1000 else f"{milliseconds:.0f} ms"


def _count(number: Decimal | None, word: str) -> str:
    return f"{_plain(number)} {word}" + ("" if number == 1 else "s")


def _plain(number: Decimal | None) -> str:
    if number is None:
        return "an unknown number"
    return f"{number:,f}".rstrip("0").rstrip(".") if "." in f"{number:f}" else f"{number:,f}"


def _number(value: object) -> Decimal | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _as_sentence(value: object) -> str:
    text = clean(value, SENTENCE_CHARACTERS)
    return text if not text or text[-1] in ".!?…" else f"{text}."
