"""The gateway's page: what may be named, what is under way, and why a call was refused."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal as D
from uuid import UUID, uuid4

import pytest

from tests.make import make_run, make_user, signed_in
from tests.tracking.ledger.conftest import LEASE_MS, ceiling, make_budget
from tracking import sealed
from tracking.ledger.calls import Call
from tracking.ledger.perform import perform
from tracking.ledger.verbs import dispatch, reserve
from tracking.models import (
    CacheDay,
    Circuit,
    Deployment,
    ModelGroup,
    ProviderCredential,
    Refusal,
    Team,
    User,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(team: Team) -> User:
    return make_user("Olga", team=team, is_operator=True)


@pytest.fixture
def group(team: Team) -> ModelGroup:
    made = ModelGroup.objects.create(team=team, name="ChatFast")
    for place, model in enumerate(("openai/gpt-4o-mini", "demo/echo")):
        Deployment.objects.create(
            group=made, model=model, priority=place, api_base="http://127.0.0.1:9", sealed_key=sealed.seal("sk-x")
        )
    return made


def refuse(team: Team, code: str = "budget_exceeded", **fields: object) -> UUID:
    id = uuid4()
    Refusal.objects.create(
        team=team, id=id, at=datetime.now(UTC), code=code, status=429, message=f"Refused: {code}.",
        **{"model": "ChatFast", "agent": "researcher", **fields},
    )  # fmt: skip
    return id


def test_with_nothing_made_yet_it_says_how_to_begin(team: Team, bob: User) -> None:
    text = signed_in(bob).get("/gateway").content.decode()
    assert "/v1</button>" in text
    assert "No call is on its way" in text
    assert "No call was refused" in text
    assert "None yet. A group is a name of yours" in text
    assert "Make a group" not in text


def test_groups_stand_in_the_order_they_are_tried_with_their_breakers(team: Team, bob: User, group: ModelGroup) -> None:
    first = group.deployments.order_by("priority")[0]
    Circuit.objects.create(
        team_id=team.pk, name=f"deployment:{first.pk}", state="open", failures=5, last_error="502 from upstream",
        changed_at=datetime.now(UTC), retry_at=datetime.now(UTC),
    )  # fmt: skip
    text = signed_in(bob).get("/gateway").content.decode()
    assert text.index("<li>openai/gpt-4o-mini") < text.index("<li>demo/echo")
    assert "<b>1 deployment</b> gets a rest" in text
    assert "502 from upstream" in text
    assert "5 failures in a row" in text


def test_an_admin_closes_a_breaker_and_a_strangers_is_none(team: Team, alice: User, other_team: Team) -> None:
    now = datetime.now(UTC)
    for of in (team, other_team):
        Circuit.objects.create(team_id=of.pk, name=f"search-{of.pk}", state="open", changed_at=now)
    client = signed_in(alice)
    assert client.post("/gateway/circuits/reset", {"circuit": f"search-{team.pk}"}).status_code == 302
    assert Circuit.objects.get(team_id=team.pk).state == "closed"
    assert client.post("/gateway/circuits/reset", {"circuit": f"search-{other_team.pk}"}).status_code == 404


def test_a_group_is_made_changed_and_deleted(team: Team, alice: User) -> None:
    client = signed_in(alice)
    made = client.post(
        "/gateway/groups/save",
        {"name": "Chat", "models": "demo/echo\n= demo/json weight 3\ndemo/slow", "cache_seconds": "60"},
    )
    assert made.status_code == 302
    rows = Deployment.objects.filter(group__team=team).order_by("priority", "created_at")
    assert [(row.model, row.priority, row.weight) for row in rows] == [
        ("demo/echo", 0, 1), ("demo/json", 0, 3), ("demo/slow", 1, 1),
    ]  # fmt: skip
    kept = rows[0].pk
    assert ModelGroup.objects.get(team=team).cache_seconds == 60
    text = client.get("/gateway").content.decode()
    assert "= demo/json weight 3" in text
    client.post("/gateway/groups/save", {"group": "Chat", "name": "Chatter", "models": "demo/slow\ndemo/echo"})
    again = Deployment.objects.filter(group__name="Chatter").order_by("priority")
    assert [row.model for row in again] == ["demo/slow", "demo/echo"]
    assert again[1].pk == kept, "a model that stays keeps its key and limits"
    assert client.post("/gateway/groups/delete", {"group": "Chatter"}).status_code == 302
    assert not ModelGroup.objects.filter(team=team).exists()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "Chat", "models": ""}, "models"),
        ({"name": "Chat", "models": "two words"}, "models"),
        ({"name": "", "models": "demo/echo"}, "name"),
        ({"name": "Chat", "models": "nobody/knows"}, "models"),
    ],
)
def test_what_cannot_be_is_said_at_its_field(team: Team, alice: User, fields: dict[str, str], field: str) -> None:
    answer = signed_in(alice).post("/gateway/groups/save", fields)
    assert answer.status_code == 422
    assert answer.context["new_form"].errors[field]
    assert not ModelGroup.objects.filter(team=team).exists()


def test_a_strangers_group_is_not_found_and_a_member_makes_none(
    team: Team, bob: User, charlie: User, group: ModelGroup
) -> None:
    given = {"group": "ChatFast", "name": "Mine", "models": "demo/echo"}
    assert signed_in(charlie).post("/gateway/groups/save", given).status_code == 404
    assert signed_in(charlie).post("/gateway/groups/delete", given).status_code == 404
    assert signed_in(bob).post("/gateway/groups/save", given).status_code == 403
    assert ModelGroup.objects.get(pk=group.pk).name == "ChatFast"


def test_calls_under_way_show_what_they_may_come_to(team: Team, bob: User) -> None:
    make_budget(team, "10")
    id = uuid4()
    call = Call(team_id=team.pk, agent="researcher", models=("gpt-4o",), run="nightly")
    perform(reserve(call, ceiling("0.3"), id=id, lease_ms=LEASE_MS))
    perform(dispatch([team.pk], [id]))
    client = signed_in(bob)
    page = client.get("/gateway").content.decode()
    assert '1 call, <span title="$0.3">$0.3000</span> held' in page
    assert "/runs/nightly" in page
    part = client.get("/gateway", headers={"hx-request": "true"}).content.decode()
    assert part.startswith("<section")
    assert "researcher" in part


def test_why_a_call_was_blocked_with_its_budget_then_and_now(team: Team, bob: User) -> None:
    budget = make_budget(team, "1", name="month")
    perform(reserve(Call(team_id=team.pk, models=("m",)), ceiling("0.3"), id=uuid4(), lease_ms=LEASE_MS))
    make_run(team, "nightly")
    id = refuse(team, run="nightly", details={
        "budget_id": str(budget.pk), "limit": 1.0, "current_cost": 0.95, "held": 0.05, "unit": "usd", "free_at": None,
    })  # fmt: skip
    text = signed_in(bob).get(f"/gateway/blocked?request={id}").content.decode()
    assert "spent <b>0.95</b>" in text
    assert 'free <b><span title="$0.7">$0.7000</span></b>' in text
    assert f"/budgets/{budget.pk}" in text
    assert "/runs/nightly" in text


@pytest.mark.parametrize(
    ("code", "words"),
    [("model_unpriced", "Set a price"), ("loop_detected", "The loop"), ("model_not_allowed", "The keys")],
)
def test_each_reason_says_what_to_do(team: Team, bob: User, code: str, words: str) -> None:
    id = refuse(team, code)
    assert words in signed_in(bob).get(f"/gateway/blocked?request={id}").content.decode()


def test_a_strangers_call_and_no_call_are_not_found(team: Team, bob: User, other_team: Team) -> None:
    client = signed_in(bob)
    for id in (refuse(other_team), uuid4()):
        answer = client.get(f"/gateway/blocked?request={id}")
        assert answer.status_code == 404
        assert "No call of this team was refused under that id" in answer.content.decode()
    assert "This is no id of a call" in client.get("/gateway/blocked?request=abc").content.decode()


def test_refused_calls_are_listed_by_reason_and_page(team: Team, bob: User) -> None:
    for _ in range(60):
        refuse(team)
    refuse(team, "loop_detected")
    client = signed_in(bob)
    first = client.get("/gateway/blocked")
    assert first.content.decode().count("<li data-row>") == 50
    second = client.get("/gateway/blocked", {"cursor": first.context["next_cursor"]}).content.decode()
    assert second.count("<li data-row>") == 11
    one = client.get("/gateway/blocked?code=loop_detected").content.decode()
    assert one.count("<li data-row>") == 1
    assert client.get("/gateway/blocked?cursor=x").status_code == 400


def test_what_the_cache_saved_is_told_by_day(team: Team, bob: User) -> None:
    for model, hits in (("a", 3), ("b", 4)):
        CacheDay.objects.create(
            team=team, day=datetime.now(UTC).date(), model=model, hits=hits, misses=1, saved_usd=D("0.25")
        )
    text = signed_in(bob).get("/gateway").content.decode()
    assert '7 <span class="faint">of 9</span>' in text
    assert "$0.50" in text


def test_operators_seal_providers_keys_and_nobody_reads_them(team: Team, alice: User, operator: User) -> None:
    client = signed_in(operator)
    assert (
        client.post("/gateway/credentials/add", {"provider": "openai", "api_key": "sk-secret-9876"}).status_code == 302
    )
    text = client.get("/gateway").content.decode()
    assert "…9876" in text
    assert "sk-secret" not in text
    assert "Providers&#x27; keys" not in signed_in(alice).get("/gateway").content.decode()
    wrong = client.post("/gateway/credentials/add", {"provider": "", "api_key": "x"})
    assert wrong.status_code == 422
    row = ProviderCredential.objects.get()
    assert client.post("/gateway/credentials/delete", {"credential": row.pk}).status_code == 302
    assert not ProviderCredential.objects.exists()
