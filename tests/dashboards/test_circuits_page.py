"""The page of circuits: what is cut off, why and until when, what moved it, and who may do what about it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.make import make_user, signed_in
from tracking import agent_breaker, circuits
from tracking.audit import SYSTEM
from tracking.models import Agent, Alert, Approval, AuditEntry, Circuit, Team, User
from wflo.agent_breaker import BreakerPolicy, Mode
from wflo.circuits import CircuitPolicy, Outcome

pytestmark = pytest.mark.django_db

ON = BreakerPolicy(mode=Mode.ON)


def cut_off(team: Team, agent: str = "writer", **policy: Any) -> None:
    given = BreakerPolicy(mode=Mode.ON, **policy)
    agent_breaker.told(team.pk, agent, given, Outcome(failures=5, error="400 <b>bad</b> request"))


def known(team: Team, agent: str = "writer") -> None:
    Agent.objects.create(team=team, name=agent, colour=2, first_seen_at=datetime.now(UTC))


def page(user: User, path: str = "/circuits", **headers: str) -> str:
    answer = signed_in(user).get(path, headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def test_it_says_what_is_cut_off_why_and_what_happened(team: Team, alice: User) -> None:
    cut_off(team)
    circuits.told(team.pk, "component:planner", CircuitPolicy(), Outcome(failures=1, error="down"), shown="planner")
    text = page(alice)
    for words in (
        "<b>1 circuit</b> is not closed",
        'href="/agents/writer"',
        "cut off",
        "5 calls in a row failed.",
        "one call tries it at",
        "400 &lt;b&gt;bad&lt;/b&gt; request",
        "planner",
        "1 failure in a row",
        "What happened",
        "opened",
        "Wflo",
    ):
        assert words in text
    assert 'data-live="3"' in text
    only = page(alice, "/circuits?kind=component")
    assert "planner" in only.partition('id="breaker"')[0]
    assert "5 calls in a row failed." not in only.partition("What happened")[0]
    assert "never cut off" in page(alice, "/circuits?circuit=agent%3Anobody")
    assert signed_in(alice).get("/circuits?kind=strange").status_code == 400


def test_htmx_gets_the_list_alone(team: Team, alice: User) -> None:
    text = page(alice, **{"HX-Request": "true"})
    assert text.startswith('<div class="stack" id="circuits-list"')
    assert "Nothing ever failed" in text
    assert "Cut an agent off" not in text


def test_an_admin_resets_it_and_lets_one_call_try(team: Team, alice: User, bob: User) -> None:
    cut_off(team)
    client, row = signed_in(alice), {"circuit": "agent:writer"}
    assert "tries whether all is well" in client.post("/circuits/allow", row, follow=True).content.decode()
    assert Circuit.objects.get(team_id=team.pk).state == "half_open"
    client.post("/circuits/reset", row)
    assert Circuit.objects.get(team_id=team.pk).state == "closed"
    assert Alert.objects.get(team=team, kind="circuit").resolved_at is not None
    assert "nothing holds it back" in client.post("/circuits/allow", row, follow=True).content.decode()
    done = (
        AuditEntry.objects.filter(team=team, object_kind="circuit").order_by("id").values_list("action", "actor_name")
    )
    assert list(done) == [("circuit.move", "Wflo"), ("circuit.allow", "Alice"), ("circuit.reset", "Alice")]
    assert "was reset" in page(bob)
    for path in ("reset", "allow", "open", "breaker"):
        assert signed_in(bob).post(f"/circuits/{path}", row).status_code == 403
    assert 'action="/circuits' not in page(bob)


def test_an_agent_is_cut_off_by_hand_with_a_reason(team: Team, alice: User, charlie: User) -> None:
    known(team)
    client = signed_in(alice)
    assert client.post("/circuits/open", {"circuit": "agent:writer", "reason": ""}).status_code == 422
    assert client.post("/circuits/open", {"circuit": "agent:nobody", "reason": "x"}).status_code == 422
    client.post("/circuits/open", {"circuit": "agent:writer", "reason": "it mails customers", "minutes": "5"})
    row = Circuit.objects.get(team_id=team.pk)
    assert (row.state, row.is_held, row.why) == ("open", False, "Alice cut it off: it mails customers")
    assert row.retry_at is not None
    client.post("/circuits/open", {"circuit": "agent:writer", "reason": "for good"})
    assert Circuit.objects.get(team_id=team.pk).is_held
    assert "until somebody lets it be tried" in page(alice)
    stranger = signed_in(charlie)
    assert "writer" not in stranger.get("/circuits").content.decode()
    assert stranger.post("/circuits/reset", {"circuit": "agent:writer"}).status_code == 404


def test_the_breaker_is_off_until_an_admin_switches_it_on(team: Team, alice: User) -> None:
    assert "Nobody is cut off by itself until somebody switches this on" in page(alice)
    client = signed_in(alice)
    given = {"mode": "on", "failures_max": "4", "speed_max": "", "speed_minutes": "10", "speed_usd_min": "2", "speed_hours_min": "8",
             "hits_max": "", "hits_minutes": "60", "rest_minutes": "30", "needs_approval": "on"}  # fmt: skip
    client.post("/circuits/breaker", given)
    team.refresh_from_db()
    policy = agent_breaker.policy_of(team)
    assert (policy.mode, policy.failures_max, policy.speed_max, policy.on_loop, policy.needs_approval) == (
        Mode.ON, 4, None, False, True,
    )  # fmt: skip
    text = page(alice)
    assert "<b>4 calls</b> of it in a row fail" in text
    assert "speed max: none" in text
    wrong = client.post("/circuits/breaker", given | {"speed_max": "1"})
    assert wrong.status_code == 422
    assert "is a number from 1.5" in wrong.content.decode()
    team.refresh_from_db()
    assert agent_breaker.policy_of(team) == policy


def test_approving_the_question_on_the_approvals_page_lets_one_call_try(team: Team, bob: User) -> None:
    cut_off(team, needs_approval=True)
    text = page(bob)
    assert '(<a class="link" href="/approvals">the question</a>)' in text
    asked = Approval.objects.get(team=team)
    assert "let writer call again" in page(bob, "/approvals")
    signed_in(bob).post("/approvals/decide", {"id": asked.id, "answer": "approve"})
    row = Circuit.objects.get(team_id=team.pk)
    assert (row.state, row.approval) == ("half_open", None)
    assert AuditEntry.objects.filter(team=team, action="circuit.allow", actor_name="Bob").exists()


def test_a_question_is_withdrawn_when_somebody_moves_the_circuit_by_hand(team: Team, alice: User) -> None:
    cut_off(team, needs_approval=True)
    signed_in(alice).post("/circuits/reset", {"circuit": "agent:writer"})
    assert (Approval.objects.get(team=team).status, Circuit.objects.get(team_id=team.pk).state) == (
        "cancelled",
        "closed",
    )


def test_a_deployment_that_teams_share_is_moved_by_an_operator(team: Team, alice: User) -> None:
    from tracking.models import Deployment, ModelGroup

    group = ModelGroup.objects.create(team=None, name="shared")
    group.teams.add(team)
    made = Deployment.objects.create(group=group, model="openai/gpt-4o")
    name = f"deployment:{made.pk}"
    circuits.told(0, name, CircuitPolicy(), Outcome(failures=5, error="502"), shown="openai/gpt-4o", caller_id=team.pk)
    text = page(alice)
    assert "other teams call it too" in text
    assert "openai/gpt-4o" in text.partition("What happened")[2]
    assert "/circuits/reset" not in text
    answer = signed_in(alice).post("/circuits/reset", {"circuit": name}, follow=True)
    assert "an operator does that" in answer.content.decode()
    oscar = make_user("Oscar", is_operator=True)
    signed_in(oscar).post(f"/circuits/reset?team={team.slug}", {"circuit": name})
    assert Circuit.objects.get(team_id=0, name=name).state == "closed"


def test_who_opens_an_alert_is_the_system(team: Team) -> None:
    cut_off(team)
    entry = AuditEntry.objects.get(team=team, object_kind="circuit")
    assert (entry.actor_kind, entry.actor_name) == (SYSTEM.kind, SYSTEM.name)
