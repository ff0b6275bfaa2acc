"""The home page: its sentence, its evidence, what it says of a team without data, and of a sample team."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from dashboards.day_chart import HEIGHT, day_chart
from tests.dashboards.test_budgets_page import made, spend, words
from tests.make import make_team, make_user, signed_in
from tests.tracking.ingest.spans import SECOND, batch, call, span, stored
from tests.tracking.reports.past import NOON, a_priced_store, run_at
from tracking.audit import SYSTEM
from tracking.demo import team as demo
from tracking.ingest.writer import Store
from tracking.models import Drop, Team
from tracking.reports.home import home
from wflo.spans import Kind

D = Decimal


@pytest.fixture
def store(transactional_db: None) -> Iterator[Store]:
    with a_priced_store() as store:
        yield store


@pytest.fixture
def team(transactional_db: None) -> Team:
    return make_team("Core")


@pytest.fixture
def client(team: Team) -> Client:
    return signed_in(make_user("Alice", team=team, role="admin"))


def just_now(store: Store, team: Team, *, agent: str = "planner", model: str = "gpt-4o-mini") -> None:
    """A run of this very minute, still going on."""
    ago = time.time_ns() - 20 * SECOND
    root = span(1, kind=Kind.AGENT, agent=agent, lasts=None)
    step = call(2, parent=1, model=model, tokens=(2_000_000, 0))
    root.started_ns, step.started_ns, step.ended_ns = ago, ago + SECOND, ago + 2 * SECOND
    store.write([batch(team, root, step)])


def text_of(client: Client, address: str = "/", **headers: str) -> str:
    response = client.get(address, headers=headers)
    assert response.status_code == 200, response.content
    return response.content.decode()


def test_a_team_without_spans_is_led_to_sending_some(store: Store, client: Client) -> None:
    assert client.get("/").headers["Location"] == "/onboarding"


def test_the_page_opens_with_what_today_cost_and_what_is_live(store: Store, team: Team, client: Client) -> None:
    just_now(store, team)
    text = text_of(client)
    assert (
        '<p class="state"><a href="/costs?from=now/d">$0.3000</a> today. <a href="/runs?status=running">1 run</a> is live.'
        in text
    )
    assert 'href="/agents/planner"' in text
    assert "Every call has a price" in text


def test_an_unknown_cost_is_said_in_words_and_never_as_nothing(store: Store, team: Team, client: Client) -> None:
    just_now(store, team, model="house-model")
    text = text_of(client)
    assert "An unknown amount</a> today" in text
    assert '<a class="unknown" href="/prices">1 call</a> has no price.' in text
    assert "Set price" in text
    assert "$0 " not in text


def test_the_fragment_is_the_same_without_the_frame(store: Store, team: Team, client: Client) -> None:
    just_now(store, team)
    fragment = text_of(client, "/?sort=change", **{"HX-Request": "true"})
    assert fragment.lstrip().startswith('<div class="stack" id="home"')
    assert "<html" not in fragment
    assert 'hx-get="/?sort=change" hx-trigger="live"' in fragment


def test_what_agents_are_called_is_never_markup(store: Store, team: Team, client: Client) -> None:
    just_now(store, team, agent='<img src=x onerror=alert(1)>"', model="<b>m</b>")
    text = text_of(client)
    assert "<img src=x" not in text
    assert "<b>m</b>" not in text
    assert "/agents/%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E%22" in text


def test_what_senders_gave_up_since_yesterday_is_said(store: Store, team: Team, client: Client) -> None:
    just_now(store, team)
    now = datetime.now(UTC)
    Drop.objects.create(team=team, day=now.date() - timedelta(days=2), reason="queue_full", events=5)
    assert "Given up" not in text_of(client)
    Drop.objects.create(team=team, day=now.date(), reason="queue_full", events=4)
    Drop.objects.create(team=team, day=now.date(), reason="fault", events=1)
    text = text_of(client)
    for said in ("Given up", "5 events", "queue full", 'href="/settings/retention#drops"'):
        assert said in text


def test_home_asks_the_database_a_fixed_number_of_questions(
    store: Store, team: Team, client: Client, django_assert_max_num_queries: object
) -> None:
    for n in range(12):
        stored(store, team, *run_at(n + 1, 9, days_ago=n, agent=f"agent-{n}"))
    just_now(store, team)
    client.get("/")
    with django_assert_max_num_queries(24):  # type: ignore[operator]
        client.get("/")


def test_the_chart_stands_within_its_sheet_and_ends_at_now(store: Store, team: Team) -> None:
    stored(store, team, *run_at(1, 9), *run_at(2, 9, days_ago=7), *run_at(3, 20, days_ago=7, tokens=(9_000_000, 0)))
    chart = day_chart(home(team, NOON).spend, D(12))
    points = [tuple(map(float, point.split(","))) for point in f"{chart.today} {chart.band} {chart.coming}".split()]
    assert all(0 <= x <= 1000 and 0 <= y <= HEIGHT for x, y in points)
    assert chart.today.split()[-1] == f"500.0,{chart.now_y}"
    assert chart.coming.split()[0] == chart.today.split()[-1]
    assert chart.ticks[0].label == "$0"
    assert 2 <= len(chart.ticks) <= 4
    assert chart.says_now
    assert not day_chart(home(team, NOON + timedelta(hours=10)).spend, D(22)).says_now  # two labels would overlap


def test_a_sample_team_waits_for_its_first_span_and_says_what_it_is(store: Store, team: Team, client: Client) -> None:
    sample = demo.begin(team.organization, actor=SYSTEM)
    make_user("Olive", team=sample, role="admin")
    olive = signed_in(make_user("Owen", team=sample, role="viewer"))
    assert "on its way" in text_of(olive)
    assert olive.get("/demo/state").status_code == 204
    just_now(store, sample)
    assert olive.get("/demo/state").headers["HX-Redirect"] == "/"
    text = text_of(olive)
    assert "Sample data" in text
    assert "Remove the sample team" not in text, "a viewer cannot"


def test_one_button_removes_the_sample_team_and_no_other(store: Store, team: Team, client: Client) -> None:
    sample = demo.begin(team.organization, actor=SYSTEM)
    admin = signed_in(make_user("Olive", team=sample, role="admin"))
    just_now(store, sample)
    assert "Remove the sample team" in text_of(admin)
    assert client.post("/demo/delete").status_code == 400
    assert client.post(f"/demo/delete?team={sample.slug}").status_code == 404, "not hers"
    assert admin.post(f"/demo/delete?team={sample.slug}").headers["Location"] == "/"
    assert not Team.objects.filter(pk=sample.pk).exists()
    assert Team.objects.filter(pk=team.pk).exists()


def test_one_button_makes_the_sample_team_once(team: Team, client: Client) -> None:
    first, second = client.post("/demo"), client.post("/demo")
    sample = Team.objects.get(is_demo=True)
    assert first.headers["Location"] == second.headers["Location"] == f"/?team={sample.slug}"
    assert NOON - sample.created_at < timedelta(days=2)


def test_onboarding_offers_the_sample_team_to_those_who_can_make_it(team: Team, client: Client) -> None:
    assert 'action="/demo"' in text_of(client, "/onboarding")
    assert 'action="/demo"' not in text_of(signed_in(make_user("Vera", team=team, role="viewer")), "/onboarding")


def test_home_says_where_the_money_stands(store: Store, team: Team, client: Client) -> None:
    just_now(store, team)
    assert 'href="/budgets/' not in text_of(client)
    made(team, window="total", limit_usd="10")
    made(team, scope_kind="agent", scope_id="bot", name="Bot", limit_usd="1")
    spend(team, "1.5", agent="bot")
    text = text_of(client)
    said = words(text)
    assert re.search(r"\$8\.\d\d free of \$10\.00 in all\.", said)
    assert re.search(r"Bot was used up at \d\d:\d\d: new calls are refused\.", said)
    assert re.search(r"Budgets\s+2 ", said)
    assert text.index('aria-label="Bot: ') < text.index('aria-label="All of us: ')


def test_home_shows_the_budgets_that_matter_first_and_says_how_the_rest_are(
    store: Store, team: Team, client: Client
) -> None:
    just_now(store, team)
    for place in range(7):
        made(team, scope_kind="agent", scope_id=f"a{place}", name=f"b{place}", limit_usd="10")
        spend(team, str(place), agent=f"a{place}")
    with CaptureQueriesContext(connection) as asked:
        text = text_of(client)
    shown = re.findall(r'aria-label="(b\d): ', text)
    assert shown == ["b6", "b5", "b4", "b3", "b2"]
    assert "2 more, none past 10% of its limit" in words(text)
    assert len(asked) <= 27
