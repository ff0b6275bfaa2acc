"""The alerts page and its settings: what is shown, who may act, what comes back when something is wrong."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from dashboards.alert_marks import mute_ends
from tests.make import make_user, signed_in
from tests.tracking.receivers import http_receiver
from tracking import alerts
from tracking.alerts import destinations, rules
from tracking.audit import SYSTEM
from tracking.models import Alert, Destination, Team, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(alice: User) -> Client:
    return signed_in(alice)


def open_some(team: Team, number: int = 3, **options: Any) -> list[Alert]:
    start = datetime.now(UTC) - timedelta(hours=1)
    for place in range(number):
        facts = {"cycle": [f"step-{place}"], "burned_usd": "0.5"}
        alerts.open_once(team, "loop", "high", f"loop:{place}", payload=facts, agent="ops", run=f"r{place}",
                         now=start + timedelta(seconds=place), **options)  # fmt: skip
    return list(Alert.objects.filter(team=team).order_by("opened_at"))


def shown(client: Client, path: str, status: int = 200, **headers: str) -> str:
    answer = client.get(path, headers=headers)
    assert answer.status_code == status, answer.content.decode()
    return answer.content.decode()


def said(answer: Any) -> str:
    return " ".join(str(message) for message in answer.context["messages"])


def test_nothing_open_is_said(admin: Client) -> None:
    page = shown(admin, "/alerts")
    assert "Nothing needs you now." in page
    assert "Nothing is wrong" in page
    assert "Nobody is told outside this page" in page
    assert re.search(r'<span class="count" data-alerts-count></span>', page)


def test_open_alerts_are_shown_newest_first_with_what_to_do(admin: Client, team: Team) -> None:
    open_some(team)
    alerts.open_once(team, "loop", "high", "loop:0", agent="ops", run="r0", payload={"cycle": ["step-0"]})
    page = shown(admin, "/alerts")
    assert [page.index(f"a loop: step-{place}") for place in (2, 1, 0)] == sorted(
        page.index(f"a loop: step-{place}") for place in range(3)
    )
    assert "$0.5000 burned since it began." in page
    assert "2 times, last" in page
    assert 'href="/runs/r2"' in page
    assert "<b>3</b> alerts are open, and" in page
    assert re.search(r'<span class="count hot" data-alerts-count>3<span class="sr"> open', page)


def test_what_an_alert_leads_to_is_there(admin: Client, team: Team) -> None:
    for kind in ("errors", "latency", "spike", "unpriced"):
        facts = {"models": ["house/7b"], "percent": 10, "spent_usd": "3", "usual_usd": "1"}
        alerts.open_once(team, kind, "low", kind, agent="the ops", payload=facts)
    paths = re.findall(r'<a href="([^"]+)"><b>', shown(admin, "/alerts"))
    assert sorted(path.partition("?")[0] for path in paths) == ["/costs", "/prices", "/runs", "/runs"]
    for path in paths:
        shown(admin, path.replace("&amp;", "&"))


def test_another_teams_alerts_are_not_shown(admin: Client, other_team: Team) -> None:
    open_some(other_team)
    assert "a loop" not in shown(admin, "/alerts?state=all")


def test_filters_by_state_and_kind_stand_in_the_address(admin: Client, team: Team) -> None:
    first, second, _ = open_some(team)
    alerts.acknowledge(team, [first.pk], actor=SYSTEM)
    alerts.resolve(team, [second.pk], actor=SYSTEM)
    alerts.open_once(team, "drift", "critical", "drift:1", payload={"budget": "Ops"})

    def seen(query: str) -> list[str]:
        page = shown(admin, f"/alerts?{query}")
        return [name for name in ("step-0", "step-1", "step-2", "budget Ops") if name in page]

    assert seen("") == ["step-2", "budget Ops"]
    assert seen("state=acknowledged") == ["step-0"]
    assert seen("state=resolved") == ["step-1"]
    assert seen("state=all&kind=drift") == ["budget Ops"]
    assert seen("state=all&run=r1") == ["step-1"]
    assert seen("state=all&kind=stuck") == []
    assert "No alert fits." in shown(admin, "/alerts?state=all&kind=stuck")
    for query in ("state=lost", "kind=mood", "cursor=x"):
        shown(admin, f"/alerts?{query}", status=400)


def test_the_list_goes_on_after_its_last_row(admin: Client, team: Team, settings: Settings) -> None:
    settings.LIMITS = {**settings.LIMITS, "page_rows": 2}
    open_some(team)
    first = shown(admin, "/alerts")
    assert 'data-live="5"' in first
    (older,) = re.findall(r'href="(/alerts\?[^"]*cursor=[^"]*)"', first)
    second = shown(admin, older.replace("&amp;", "&"))
    assert ("step-2" in first, "step-0" in first, "step-0" in second) == (True, False, True)
    assert "data-live=" not in second


def test_htmx_gets_the_list_alone(admin: Client, team: Team) -> None:
    open_some(team)
    part = shown(admin, "/alerts", **{"HX-Request": "true"})
    assert part.lstrip().startswith("<div")
    assert "<nav" not in part
    assert "data-alerts-fresh" in part


def test_a_member_closes_one_and_many_and_comes_back_to_the_filters(bob: User, team: Team) -> None:
    client = signed_in(bob)
    first, second, third = open_some(team)
    answer = client.post("/alerts/acknowledge", {"one": first.pk, "alert": [second.pk], "here": "state=all&kind=loop"})
    assert answer.headers["Location"] == "/alerts?state=all&kind=loop"
    assert Alert.objects.filter(acknowledged_by=bob).get() == first
    answer = client.post("/alerts/resolve", {"alert": [second.pk, third.pk]}, follow=True)
    assert said(answer) == "1 alert acknowledged. 2 alerts resolved."
    answer = client.post("/alerts/resolve", {"alert": [second.pk]}, follow=True)
    assert "resolved already" in said(answer)
    assert "None was ticked" in said(client.post("/alerts/resolve", {}, follow=True))


@pytest.mark.parametrize(
    "here", ["//evil.example", "next=//evil", "state=x\r\nX: y", "https://evil.example", "state=\u00e9"]
)
def test_one_comes_back_to_this_page_whatever_was_sent(admin: Client, here: str) -> None:
    assert admin.post("/alerts/resolve", {"here": here}).headers["Location"] == "/alerts"


def test_a_viewer_looks_and_has_no_buttons(team: Team) -> None:
    open_some(team)
    client = signed_in(make_user("Vera", team=team, role="viewer"))
    page = shown(client, "/alerts")
    assert "a loop: step-0" in page
    assert "Acknowledge<" not in page
    assert client.post("/alerts/resolve", {"alert": [uuid4()]}).status_code == 403
    settings_page = shown(client, "/settings/alerts")
    assert "Add destination" not in settings_page
    assert "Save" not in settings_page


def test_another_teams_alert_is_left_alone(charlie: User, team: Team) -> None:
    (alert,) = open_some(team, 1)
    signed_in(charlie).post("/alerts/resolve", {"alert": [alert.pk]})
    assert Alert.objects.get().resolved_at is None
    assert signed_in(charlie).post("/alerts/resolve", {"alert": ["nonsense"]}).status_code == 400


def test_a_webhook_is_made_with_its_secret_shown_once(admin: Client) -> None:
    given = {"name": "Ops", "kind": "webhook", "address": "https://example.org/hooks/5e1f", "severity_least": "high",
             "alert_kinds": ["loop", "budget"], "events": ["job.failed"]}  # fmt: skip
    answer = admin.post("/settings/alerts/add", given)
    page = answer.content.decode()
    (secret,) = set(re.findall(r"whsec_[A-Za-z0-9+/=]+", page))
    assert answer.headers["Cache-Control"] == "no-store"
    later = shown(admin, "/settings/alerts")
    assert secret not in later
    assert "5e1f" not in page + later
    assert "Budget, Loop, if high or critical" in later
    assert "and when a job failed" in later


def test_what_is_wrong_stands_by_its_field_and_the_rest_is_kept(admin: Client) -> None:
    given = {
        "name": "Ops",
        "kind": "webhook",
        "address": "http://10.0.0.1/",
        "severity_least": "low",
        "events": ["job.failed"],
    }
    answer = admin.post("/settings/alerts/add", given)
    page = answer.content.decode()
    assert answer.status_code == 400
    assert "10.0.0.1 is no public address" in page
    assert 'value="Ops"' in page
    assert not Destination.objects.exists()


def test_a_destination_for_events_alone(admin: Client) -> None:
    given = {"name": "Jobs", "kind": "webhook", "address": "https://example.org/", "severity_least": "low"}
    answer = admin.post("/settings/alerts/add", given | {"without_alerts": "on"})
    assert "Choose at least one kind of alert, or an event." in answer.content.decode()
    admin.post("/settings/alerts/add", given | {"without_alerts": "on", "events": ["job.completed"]})
    assert Destination.objects.get().alert_kinds == []
    assert "no alerts" in shown(admin, "/settings/alerts")


def made(team: Team) -> Destination:
    return destinations.create(team, name="Ops", kind="webhook", address="https://nobody.invalid/x", actor=SYSTEM)[0]


def test_a_destination_is_changed(admin: Client, team: Team) -> None:
    path = f"/settings/alerts/{made(team).pk}"
    assert 'value="Ops"' in shown(admin, path)
    given = {
        "name": "Night shift",
        "severity_least": "critical",
        "alert_kinds": [],
        "events": ["run.killed"],
        "address": "",
    }
    assert admin.post(f"{path}/change", given).status_code == 302
    changed = Destination.objects.get()
    assert (changed.name, changed.alert_kinds, changed.events) == ("Night shift", None, ["run.killed"])
    assert destinations.address_of(changed) == "https://nobody.invalid/x"
    answer = admin.post(f"{path}/change", given | {"address": "ftp://x"})
    assert "begins with https" in answer.content.decode()
    admin.post(f"{path}/change", given | {"address": "https://other.example/y"})
    assert Destination.objects.get().shown == "https://other.example"


def test_the_test_button_says_what_went_wrong_and_that_it_went(admin: Client, team: Team, settings: Settings) -> None:
    destination = made(team)
    answer = admin.post(f"/settings/alerts/{destination.pk}/test", follow=True)
    assert said(answer) == "The test did not reach Ops. There is no host nobody.invalid."
    assert "the last message to" in answer.content.decode()
    settings.WFLO_ALLOW_PRIVATE_EGRESS = (ip_network("127.0.0.0/8"),)
    with http_receiver() as web:
        near, _ = destinations.create(team, name="Near", kind="webhook", address=web.url, actor=SYSTEM)
        answer = admin.post(f"/settings/alerts/{near.pk}/test", follow=True)
    assert "was handed to" in said(answer)
    assert len(web.got) == 1


def test_a_destination_is_muted_signed_anew_and_removed(admin: Client, team: Team) -> None:
    path = f"/settings/alerts/{made(team).pk}"
    admin.post(f"{path}/mute", {"for": "8h"})
    assert ">muted<" in shown(admin, "/settings/alerts")
    admin.post(f"{path}/mute", {"for": ""})
    assert ">muted<" not in shown(admin, "/settings/alerts")
    assert admin.post(f"{path}/mute", {"for": "ever"}).status_code == 400
    assert "whsec_" in admin.post(f"{path}/secret").content.decode()
    admin.post(f"{path}/remove")
    assert not Destination.objects.exists()
    shown(admin, path, status=404)


def test_another_teams_destination_is_not_there(charlie: User, team: Team) -> None:
    path, client = f"/settings/alerts/{made(team).pk}", signed_in(charlie)
    shown(client, path, status=404)
    for verb in ("change", "test", "mute", "secret", "remove"):
        assert client.post(f"{path}/{verb}", {"name": "x", "severity_least": "low", "for": ""}).status_code == 404
    assert Destination.objects.exists()


def test_rules_are_set_and_taken_back(admin: Client, team: Team) -> None:
    admin.post(
        "/settings/alerts/rules/set",
        {"kind": "errors", "over": "12.5", "calls_least": "5", "severity": "critical", "is_on": "on"},
    )
    rule = rules.rules_of(team)[0]
    assert (str(rule.over.normalize()), rule.calls_least, rule.severity, rule.is_on) == ("12.5", 5, "critical", True)
    admin.post(
        "/settings/alerts/rules/set", {"kind": "errors", "over": "12.5", "calls_least": "5", "severity": "critical"}
    )
    assert not rules.rules_of(team)[0].is_on
    answer = admin.post("/settings/alerts/rules/set", {"kind": "errors", "over": "a lot"})
    assert (answer.status_code, "Give a number." in answer.content.decode()) == (400, True)
    admin.post("/settings/alerts/rules/set", {"new": "yes", "kind": "latency", "over": "900", "agent": "ops"})
    assert rules.rules_of(team)[-1].agent == "ops"
    answer = admin.post("/settings/alerts/rules/set", {"new": "yes", "kind": "unpriced", "over": "1", "agent": "ops"})
    assert answer.status_code == 400
    admin.post(f"/settings/alerts/rules/{rule.id}/remove")
    assert rules.rules_of(team)[0] == rules.default("errors")
    assert admin.post(f"/settings/alerts/rules/{uuid4()}/remove").status_code == 404


def test_the_preview_is_a_sentence_for_htmx_and_the_page_for_a_browser(admin: Client) -> None:
    asked = "/settings/alerts/rules/preview?kind=errors&agent=&over=5&calls_least=20"
    assert "It would have said nothing in the last 30 days." in shown(admin, asked, **{"HX-Request": "true"})
    assert "Give a number" in shown(admin, asked.replace("over=5", "over=x"), **{"HX-Request": "true"})
    assert admin.get(asked).headers["Location"] == "/settings/alerts#rules"


def test_mutes_end_where_the_team_is() -> None:
    now = datetime(2026, 11, 26, 22, 30, tzinfo=UTC)
    assert mute_ends("1h", now, "UTC") == now + timedelta(hours=1)
    assert mute_ends("7d", now, "UTC") == now + timedelta(days=7)
    assert mute_ends("", now, "UTC") is None
    assert mute_ends("tomorrow", now, "Europe/Berlin") == datetime(2026, 11, 26, 23, tzinfo=UTC)
    assert mute_ends("tomorrow", now, "Asia/Tokyo") == datetime(2026, 11, 27, 15, tzinfo=UTC)
