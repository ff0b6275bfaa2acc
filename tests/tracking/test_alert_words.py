"""Each kind of alert in words: what happened, what to do, where to look. Missing facts leave no hole in a sentence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracking.alerts.phrases import clean, moment, usd
from tracking.alerts.words import Words, event_words, sentence
from tracking.models import Alert, Destination


@dataclass
class Told:
    kind: str
    payload: Any = field(default_factory=dict)
    run: str = ""
    agent: str = ""
    times: int = 1


BUDGET = {
    "budget_id": "b1", "budget": "Ops", "subject": "", "percent": 75, "mode": "strict", "spent_usd": "7.5",
    "limit_usd": "10", "spent_tokens": 100, "limit_tokens": None, "ends_at": "2026-11-30T00:00:00+00:00",
}  # fmt: skip
SENTENCES = [
    (
        Told("budget", BUDGET),
        "The budget Ops is 75% spent",
        "$7.50 of $10.00 is spent; the window ends 2026-11-30 00:00 UTC. When it is used up, calls under it are refused. "
        "Raise the limit, or let it stop them.",
        "/budgets/b1",
    ),
    (
        Told("budget", BUDGET | {"percent": 100, "subject": "cus_7", "spent_usd": "10"}),
        "The budget Ops for cus_7 is used up",
        "$10.00 of $10.00 is spent; the window ends 2026-11-30 00:00 UTC. Calls under it are refused until "
        "2026-11-30 00:00 UTC. Raise the limit and they go on.",
        "/budgets/b1",
    ),
    (
        Told("budget", BUDGET | {"mode": "soft", "ends_at": None, "limit_usd": None, "limit_tokens": 200}),
        "The budget Ops is 75% spent",
        "100 of 200 tokens is spent. It only alerts: calls go on.",
        "/budgets/b1",
    ),
    (
        Told("budget", {"is_refusal": True, "percent": 100, "budget": "Ops", "budget_id": "b1", "limit": 5.0, "current_cost": 4.9,
                        "held": 0.05, "unit": "usd", "free_at": "2026-11-30T00:00:00+00:00"}),
        "The budget Ops refuses calls",
        "$4.90 of $5.00 is spent, $0.05000 is held for calls under way. Raise the limit, or wait until 2026-11-30 00:00 UTC: "
        "until then calls that it cannot pay are refused.",
        "/budgets/b1",
    ),
    (
        Told("overage", {"budget": "Ops", "spent_usd": "5.02", "limit_usd": "5", "usd": "0.05", "held_usd": "0.03", "model": "m"}),
        "The budget Ops went over its limit",
        "$5.02 of $5.00 is spent. A call of m cost $0.05000, and $0.03000 was held for it. The next calls are refused until "
        "there is room.",
        "/budgets",
    ),
    (
        Told("loop", {"cycle": ["plan", "search"], "times": 14, "burned_usd": "0.62", "action": "block", "first_step": 12}, "r1", "ops"),
        "ops goes round in a loop: plan → search",
        "14 times so far, $0.6200 burned since it began at step 12. Its next calls are refused while it goes on so.",
        "/runs/r1",
    ),
    (
        Told("killed", {"by": "Bob", "reason": "wrong customer"}, "r/1", "ops"),
        "A run of ops was stopped by Bob",
        "wrong customer. Its later calls are refused. What it spent is recorded.",
        "/runs/r%2F1",
    ),
    (
        Told("circuit", {"circuit": "openai/gpt-4o", "errors": 8, "calls": 10, "until": "2026-11-30T10:05:00+01:00"}),
        "openai/gpt-4o is cut off",
        "8 of its last 10 calls failed. It is left alone until 2026-11-30 10:05+0100, then tried with one call.",
        "/circuits",
    ),
    (
        Told("circuit", {"circuit": "writer", "agent": "writer", "why": "5 calls in a row failed.", "until": "2026-11-30T10:05:00Z"}),
        "writer is cut off",
        "5 calls in a row failed. Its calls are refused until 2026-11-30 10:05 UTC; then one may try.",
        "/circuits",
    ),
    (
        Told("circuit", {"circuit": "writer", "agent": "writer", "why": "It went round in circles.", "is_held": True}),
        "writer is cut off",
        "It went round in circles. Its calls are refused until somebody lets one try.",
        "/circuits",
    ),
    (
        Told("circuit", {"circuit": "writer", "agent": "writer", "why": "It went round in circles.", "goes_on": True}),
        "writer would be cut off",
        "It went round in circles. Its calls go on: the team's breaker only tells. Look at what it does, or let the breaker cut agents off.",
        "/circuits",
    ),
    (
        Told("credit", {"left": 45, "of": 500}),
        "Credits run low",
        "45 of 500 left. Add credits before they are gone; then jobs are refused.",
        "/credits",
    ),
    (Told("credit", {"left": 0, "of": 500}), "No credits are left", "New jobs are refused until credits are added.", "/credits"),
    (
        Told("unpriced", {"models": ["house/7b"], "calls": 3}),
        "house/7b has no price",
        "3 calls today cost an unknown amount. Set a price and past calls can be charged again.",
        "/prices?q=house%2F7b",
    ),
    (
        Told("unpriced", {"models": ["a", "b", "c", "d", "e"], "calls": 1}),
        "a, b, c and 2 more have no price",
        "1 call today cost an unknown amount. Set a price and past calls can be charged again.",
        "/prices",
    ),
    (
        Told("errors", {"percent": "12.3", "threshold": "5.000", "errors": 37, "calls": 300}, agent="ops"),
        "12.3% of ops's model calls fail",
        "37 of 300 calls; the rule says 5%. Look at what they say.",
        "/runs?from=now-3h&agent=ops&flags=error",
    ),
    (
        Told("latency", {"p95_ms": "7210", "threshold": 5000, "calls": 40, "since": "2026-11-26T13:00:00+00:00"}),
        "The team's model calls are slow: p95 7.2 s",
        "Over 40 calls since 2026-11-26 13:00 UTC; the rule says 5.0 s. See which model or provider takes so long.",
        "/runs?from=now-3h",
    ),
    (
        Told("spike", {"spent_usd": "41.2", "usual_usd": "13.1", "weekday": "Thursday"}),
        "Today costs 3.1 times the usual",
        "$41.20 so far; usually it is $13.10 by now on a Thursday. See who spends it.",
        "/costs?from=now/d",
    ),
    (
        Told("drift", {"budget": "Ops", "spent_usd": "1.5000000001", "entered_usd": "1.5", "held_usd": "0", "open_usd": "0",
                       "spent_tokens": 5, "entered_tokens": 5, "held_tokens": 9, "open_tokens": 0}),
        "The ledger does not add up: the budget Ops",
        "Spent says $1.5000000001, its entries make $1.5. Held says 9 tokens, its open holds make 0 tokens. Nothing was changed "
        "by itself. Ask an operator to look.",
        "/budgets",
    ),
    (
        Told("drift", {"chain": {"what": "changed", "entry_id": 71, "number": 70}}),
        "The ledger's chain of entries does not hold",
        "Entry 71 is changed: what was written once reads otherwise. Nothing was changed by itself. Ask an operator to look.",
        "",
    ),
    (
        Told("stuck", {"reservation_id": "u1", "held_usd": "0.05", "error": "x"}),
        "Money held for a call cannot be given back",
        "$0.05000 stays held on its budgets; it is tried again every few minutes. Ask an operator to look.",
        "",
    ),
    (
        Told("stuck", {"since": "2026-11-26T13:00:00Z"}, "r1", "ops"),
        "The run of ops does not get on",
        "Nothing was heard of it since 2026-11-26 13:00 UTC. See where it stands, or stop it.",
        "/runs/r1",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("told", "title", "body", "path"), SENTENCES, ids=lambda value: getattr(value, "kind", None))
def test_each_kind_has_its_sentence(told: Told, title: str, body: str, path: str) -> None:
    words = sentence(told)
    assert (words.title, words.body, words.path) == (title, body, path)


def test_every_kind_there_is_has_a_sentence_of_its_own() -> None:
    assert {told.kind for told, *_ in SENTENCES} == set(Alert.Kind.values)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_FACTS = st.dictionaries(
    st.sampled_from(sorted({name for told, *_ in SENTENCES for name in told.payload} | {"title", "what", "path"})),
    _JSON,
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([*Alert.Kind.values, "new"]), _FACTS, st.text(max_size=20), st.text(max_size=20))
def test_no_facts_break_a_sentence(kind: str, facts: dict[str, Any], run: str, agent: str) -> None:
    words = sentence(Told(kind, facts, run, agent))
    for text in (words.title, words.what, words.todo):
        assert clean(text, 10_000) == text
        assert "None" not in text or "None" in str(facts) + agent
    assert words.path == "" or (words.path.startswith("/") and not words.path.startswith("//"))


def test_words_that_an_alert_brings_are_taken() -> None:
    own = {"title": "Disk at 95%", "what": "On db-1.", "todo": "Make room.", "path": "/settings/retention"}
    assert sentence(Told("stuck", own)) == Words("Disk at 95%", "On db-1.", "Make room.", "/settings/retention")
    for path in ("https://evil.example", "//evil.example", "/\\evil.example", "javascript:x"):
        assert sentence(Told("stuck", own | {"path": path})).path == ""


def test_names_are_one_line_and_cut() -> None:
    words = sentence(Told("loop", agent="x\r\nBcc: y\u202e\u200b" + "z" * 200))
    assert words.title.startswith("x Bcc: y zzz")
    assert "…" in words.title


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "an unknown amount"), ("x", "an unknown amount"), (float("nan"), "an unknown amount"), (0, "$0"),
     ("0.00000042", "$0.0000004200"), ("0.0420", "$0.04200"), ("0.5", "$0.5000"), ("1", "$1.00"),
     ("1234.567", "$1,234.57"), ("-3", "−$3.00")],
)  # fmt: skip
def test_money_in_words(value: object, shown: str) -> None:
    assert usd(value) == shown


def test_what_is_no_time_is_left_out() -> None:
    assert moment("soon") == moment(None) == ""


EVENTS = [
    ("job.completed", {"job_id": "j1", "cost_usd": "0.5"}, "Job j1 is done", "It cost $0.5000.", ""),
    ("job.failed", {"job_id": "j1", "name": "nightly", "error": "no\nkey", "run_id": "r1"}, "Job nightly failed", "no key.", "/runs/r1"),
    ("run.killed", {"run_id": "r1", "reason": "loops"}, "Run r1 was stopped", "loops.", "/runs/r1"),
    ("run.completed", {}, "Run is done", "", ""),
    ("run.rollback", {"run_id": "r1", "reason": "it lies"}, "Run r1 is to go back to a checkpoint", "it lies.", "/runs/r1"),
    ("approval.decided", {"action": "send", "status": "rejected", "decided_by": "Ada", "comment": "not now"}, "send was rejected by Ada", "not now.", "/approvals?state=all"),
    ("approval.request", {"action": "send", "question": "Now?", "risk": "high"}, "An agent asks: may send be done?", "Now? Risk: high.", "/approvals"),
]  # fmt: skip


@pytest.mark.parametrize(("event", "payload", "title", "body", "path"), EVENTS, ids=lambda value: None)
def test_events_in_words(event: str, payload: dict[str, Any], title: str, body: str, path: str) -> None:
    words = event_words(event, payload)
    assert (words.title, words.body, words.path) == (title, body, path)


def test_every_event_has_words() -> None:
    assert all(
        event_words(event, {"name": "x"}).title.startswith(("Run x ", "Job x ", "An agent asks"))
        for event in Destination.Event.values
    )
