"""Words for two runs side by side: what is said of b beside a, and what a row differs in. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from dashboards import numbers
from tracking.reports.compare import Verdict

NAMES_SHOWN = 3
NAME_CHARACTERS = 40
DIFFERS = {
    "kind": "another kind of step",
    "tool": "another tool",
    "agent": "another agent",
    "model": "another model",
    "asked": "asked something else",
    "answered": "answers something else",
    "status": "one of them failed",
}
PARTS = {
    "llm": {"asked": "What it was told", "calls": "Tools it calls", "answered": "What it answers"},
    "tool": {"asked": "Called with", "answered": "Answered"},
}
OTHER_PARTS = {"asked": "Input", "calls": "Calls", "answered": "Output"}
ALONE = {"only_a": "only in A", "only_b": "only in B"}
_ENDS = {"completed": "done", "killed": "stopped", "cancelled": "stopped"}


@dataclass(frozen=True, slots=True)
class Chip:
    """``style`` and ``glyph`` as the badge has them."""

    text: str
    style: str = ""
    glyph: str = ""
    title: str = ""


def chip(verdict: Verdict) -> Chip:
    return _WORDS[verdict.code](verdict)


def _cost(verdict: Verdict) -> Chip:
    amount = verdict.amount if isinstance(verdict.amount, Decimal) else Decimal(0)
    cheaper = verdict.code == "cheaper"
    text = f"{numbers.usd(amount)} {'cheaper' if cheaper else 'dearer'}"
    return Chip(text, "ok" if cheaper else "loop", "down" if cheaper else "up", numbers.usd_exact(amount))


def _time(verdict: Verdict) -> Chip:
    faster = verdict.code == "faster"
    text = f"{numbers.duration(float(verdict.amount or 0))} {'faster' if faster else 'slower'}"
    return Chip(text, "ok" if faster else "loop", "down" if faster else "up")


def _tokens(verdict: Verdict) -> Chip:
    fewer = verdict.code == "fewer_tokens"
    text = f"{numbers.tokens(int(verdict.amount or 0))} {'fewer' if fewer else 'more'} tokens"
    return Chip(text, "ok" if fewer else "loop", "down" if fewer else "up")


def _names(verdict: Verdict) -> Chip:
    what = "tools" if verdict.code == "other_tools" else "models"
    told = [f"{_listed(names)} only in {side}" for side, names in (("A", verdict.a), ("B", verdict.b)) if names]
    whole = [f"{', '.join(names)} only in {side}" for side, names in (("A", verdict.a), ("B", verdict.b)) if names]
    return Chip(f"other {what}: {'; '.join(told)}", title="; ".join(whole)[:500])


def _listed(names: Sequence[str]) -> str:
    shown = [
        name if len(name) <= NAME_CHARACTERS else f"{name[: NAME_CHARACTERS - 1]}…" for name in names[:NAMES_SHOWN]
    ]
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(shown) + more


def _end(verdict: Verdict) -> Chip:
    a, b = (_ENDS.get(status, status) for status in (verdict.a[0], verdict.b[0]))
    return Chip(f"A {a}, B {b}", "error" if "failed" in (a, b) else "")


_WORDS = {
    "cheaper": _cost,
    "dearer": _cost,
    "same_cost": lambda _: Chip("costs the same", "ok", "ok"),
    "unknown_cost": lambda _: Chip("cost not comparable: a call has no price", "unknown", "unknown"),
    "faster": _time,
    "slower": _time,
    "fewer_tokens": _tokens,
    "more_tokens": _tokens,
    "other_tools": _names,
    "other_models": _names,
    "same_answer": lambda _: Chip("same answer", "ok", "ok"),
    "other_answer": lambda _: Chip("other answer"),
    "other_end": _end,
}
