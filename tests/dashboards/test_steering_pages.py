"""Pages on which people steer agents: approvals, dead letters, checkpoints of a run."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.make import make_run, make_user, signed_in
from tracking.checkpoints import store
from tracking.checkpoints.new import NewCheckpoint
from tracking.models import Approval, DeadLetter, Run, Team, User
from tracking.steering import approvals, dead_letters

pytestmark = pytest.mark.django_db


def ask(team: Team, **more: Any) -> Approval:
    asked = {
        "action": "send mail", "agent": "writer", "risk": "critical", "question": "Send it to <b>everybody</b>?",
        "payload": {"to": "ada"}, "timeout_s": 600, "on_timeout": "reject", **more,
    }  # fmt: skip
    return approvals.request(team, "nightly", asked)[0]


def letter(team: Team) -> DeadLetter:
    told = {
        "source": "sdk",
        "name": "send mail",
        "run": "nightly",
        "agent": "writer",
        "error": "OSError: down",
        "attempts": 3,
    }
    return dead_letters.bury(team, told | {"payload": {"to": "ada"}})[0]


@pytest.fixture
def run(team: Team) -> Run:
    return make_run(team, "nightly")


def save(team: Team, number: int) -> None:
    state = {"messages": ["hello"] * number, "n": number}
    store.save(
        NewCheckpoint(
            team_id=team.pk, run="nightly", state=state, redaction="off", name=f"step {number}", agent="writer"
        )
    )


def test_a_question_is_shown_with_what_it_is_about_and_answered(team: Team, bob: User) -> None:
    one, client = ask(team), signed_in(bob)
    text = client.get("/approvals").content.decode()
    for words in (
        "<b>1 question</b> waits",
        "send mail",
        "critical risk",
        "Send it to &lt;b&gt;everybody",
        "ada",
        "then it is refused",
    ):
        assert words in text
    answer = client.post("/approvals/decide", {"id": one.id, "answer": "approve", "comment": "go"}, follow=True)
    assert "is approved: the agent goes on" in answer.content.decode()
    one.refresh_from_db()
    assert (one.status, one.comment, one.decided_by) == ("approved", "go", bob.name or bob.email)
    again = client.post("/approvals/decide", {"id": one.id, "answer": "reject"}, follow=True)
    assert "approved already" in again.content.decode()
    assert "approved by" in client.get("/approvals?state=approved").content.decode()


def test_who_only_looks_has_no_buttons_and_others_see_nothing(team: Team, other_team: Team, charlie: User) -> None:
    one, two = ask(team), letter(team)
    viewer = signed_in(make_user("Vera", team=team, role="viewer"))
    for path in ("/approvals", "/dead-letters"):
        text = viewer.get(path).content.decode()
        assert "send mail" in text
        assert "<form" not in text.partition('id="approvals-list"')[2].partition('id="dead-letters-list"')[2]
        assert "writer" not in signed_in(charlie).get(path).content.decode()
    assert viewer.post("/approvals/decide", {"id": one.id, "answer": "approve"}).status_code == 403
    assert viewer.post("/dead-letters/act", {"id": two.id, "act": "retry"}).status_code == 403
    assert signed_in(charlie).post("/dead-letters/act", {"id": two.id, "act": "retry"}).status_code == 404


def test_empty_pages_say_how_to_fill_them(team: Team, bob: User, run: Run) -> None:
    client = signed_in(bob)
    assert "Nobody waits for you" in client.get("/approvals").content.decode()
    assert "Nothing was given up" in client.get("/dead-letters").content.decode()
    assert "Nothing to go back to" in client.get(f"/runs/{run.id}?tab=checkpoints").content.decode()
    for path in ("/approvals?state=strange", "/dead-letters?state=strange"):
        assert client.get(path).status_code == 400


def test_a_letter_is_tried_again_or_thrown_away(team: Team, bob: User) -> None:
    one, two, client = letter(team), letter(team), signed_in(bob)
    text = client.get("/dead-letters").content.decode()
    for words in ("failed 3 times", "OSError: down", "what it was called with"):
        assert words in text
    answer = client.post("/dead-letters/act", {"id": [one.id], "act": "retry"}, follow=True)
    assert "1 letter: to be tried again" in answer.content.decode()
    client.post("/dead-letters/act", {"id": [two.id], "act": "discard"})
    assert list(DeadLetter.objects.order_by("status").values_list("status", flat=True)) == ["discarded", "retry_wanted"]
    for wrong in ({"id": ["x"], "act": "retry"}, {"id": [str(uuid.uuid4())], "act": "fly"}):
        assert client.post("/dead-letters/act", wrong).status_code == 302


def test_checkpoints_are_listed_opened_and_compared(team: Team, bob: User, run: Run) -> None:
    for number in (1, 2, 3):
        save(team, number)
    client, address = signed_in(bob), f"/runs/{run.id}?tab=checkpoints"
    text = client.get(address).content.decode()
    assert [f"step {number}" in text for number in (1, 2, 3)] == [True] * 3
    assert "&quot;n&quot;: 2" in client.get(f"{address}&checkpoint=2").content.decode()
    text = client.get(f"{address}&checkpoint=1&against=3").content.decode()
    assert "From version 1 to 3" in text
    assert "appended" in text
    assert client.get(f"{address}&checkpoint=9").status_code == 404
    assert client.get(f"{address}&after=x").status_code == 400
