"""What people steer, for the browser's site: questions of every risk, letters, and a run with checkpoints."""

from __future__ import annotations

from tests.browser.alerts_of import in_a_thread
from tests.browser.hostile import PAYLOADS
from tracking import agent_breaker, circuits
from tracking.audit import SYSTEM
from tracking.checkpoints import rollbacks, store
from tracking.checkpoints.new import NewCheckpoint
from tracking.models import Run, Team
from tracking.steering import approvals, dead_letters
from wflo.agent_breaker import BreakerPolicy, Mode
from wflo.circuits import CircuitPolicy, Outcome

OPENS = BreakerPolicy(mode=Mode.ON, needs_approval=True)
QUESTIONS = (
    (
        "send the newsletter",
        "critical",
        "It goes to 4,200 people. Send it now?",
        {"to": "all customers", "subject": "What is new"},
    ),
    ("refund order 5417", "high", "The customer was charged twice.", {"order": 5417, "amount_usd": "129.00"}),
    ("tidy the shared folder", "low", "", None),
)


def fill(slug: str) -> dict[str, str]:
    """The places of pages: a run that has checkpoints."""
    return in_a_thread(lambda: _filled(Team.objects.get(slug=slug)))


def _filled(team: Team) -> dict[str, str]:
    run = Run.objects.filter(team=team, is_hidden=False).order_by("-started_at", "-id")[0]
    name = run.external_id or run.trace_id.hex
    for action, risk, question, payload in QUESTIONS:
        asked = {"action": action, "agent": "writer", "risk": risk, "question": question, "payload": payload}
        approvals.request(team, name, asked | {"timeout_s": 86_400, "on_timeout": "reject"})
    for attempts, error in (
        (3, "SMTPServerDisconnected: Connection unexpectedly closed"),
        (5, "TimeoutError: no answer within 30 s"),
    ):
        told = {
            "source": "sdk",
            "name": "send mail",
            "run": name,
            "agent": "writer",
            "error": error,
            "attempts": attempts,
        }
        dead_letters.bury(team, told | {"payload": {"to": "ada@example.org", "text": "Hello"}})
    messages: list[dict[str, str]] = []
    for number, step in enumerate(("plan", "search", "draft", "review", "final")):
        messages.append({"role": "assistant", "content": f"The {step} is done. " + "It is a long story. " * 12})
        state = {"step": step, "messages": list(messages), "budget_usd": 2.5 - number / 2}
        lossy = ["state.client"] if step == "draft" else []
        new = NewCheckpoint(
            team_id=team.pk, run=name, state=state, redaction="off", name=step, agent="writer", lossy_paths=lossy
        )
        store.save(new)
    rollbacks.request(team, name, "3", reason="the review lies", actor=SYSTEM)
    _circuits(team)
    return {"saved": str(run.id)}


def _circuits(team: Team) -> None:
    """One agent that waits for a person, one cut off by hand, one that is being tried, a component that is well again."""
    policy = agent_breaker.set_policy(team, {"mode": "on", "needs_approval": True}, actor=SYSTEM)
    agent_breaker.told(team.pk, "writer", policy, Outcome(failures=5, error="400 Bad Request: messages[3].role"))
    facts = {"speed": {"spent_usd": "4.2", "usual_usd": "0.31", "times": "13.5", "minutes": 15, "hours_known": 120}}
    why = "It spent $4.20 in 15 minutes, 13.5 times what it usually does ($0.3100)."
    agent_breaker.trip(team.pk, "researcher", policy, why, facts)
    agent_breaker.allow(team, "agent:researcher", actor=SYSTEM)
    name = "component:research-planner"
    circuits.told(team.pk, name, CircuitPolicy(), Outcome(failures=5, error="TimeoutError"), shown="research-planner")
    agent_breaker.reset(team, name, actor=SYSTEM)


def attack(slug: str) -> dict[str, str]:
    """The corpus in every string of questions, letters, checkpoints and wishes."""
    team = Team.objects.get(slug=slug)
    run = Run.objects.filter(team=team, is_hidden=False).order_by("-started_at", "-id")[0]
    name = run.external_id or run.trace_id.hex
    for text in PAYLOADS:
        asked = {"action": text, "agent": text, "risk": "high", "question": text, "payload": {text: text}}
        made, _ = approvals.request(
            team, " ".join(text.split())[:128], asked | {"timeout_s": 86_400, "on_timeout": "reject"}
        )
        if len(text) % 2:
            approvals.decide(team, made.id, "rejected", actor=SYSTEM, comment=text[:1_000])
        told = {
            "source": "sdk",
            "name": text,
            "run": text,
            "agent": text,
            "error": text,
            "attempts": 1,
            "payload": [text],
        }
        dead_letters.bury(team, told)
        new = NewCheckpoint(
            team_id=team.pk,
            run=name,
            state={text: [text]},
            redaction="off",
            name=text,
            agent=text,
            step=text,
            lossy_paths=[text],
        )
        store.save(new)
        circuits.told(team.pk, f"component:{text[:150]}", CircuitPolicy(), Outcome(failures=5, error=text), shown=text)
        agent_breaker.trip(team.pk, text[:180], OPENS, text[:400], {text[:90]: text})
    wish = rollbacks.request(team, name, "3", reason=PAYLOADS[0][:500], actor=SYSTEM)
    rollbacks.answer(team, name, wish.id, status="refused", reason=PAYLOADS[0][:500], actor=SYSTEM)
    return {"saved": str(run.id)}
