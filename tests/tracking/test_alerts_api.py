"""Alerts, destinations and rules over HTTP: what programs may see and do, and never of another team."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from tests.make import make_key
from tests.tracking.receivers import HttpReceiver, http_receiver
from tracking import alerts
from tracking.models import Alert, AuditEntry, Team
from wflo.webhooks import verify

pytestmark = pytest.mark.django_db


class Api:
    def __init__(self, team: Team) -> None:
        self._headers = {"Authorization": f"Bearer {make_key(team)[1]}"}

    def __call__(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        data = "" if body is None else json.dumps(body)
        answer = Client().generic(
            method, f"/api/v1/{path}", data, content_type="application/json", headers=self._headers
        )
        assert answer.status_code == status, answer.content
        return json.loads(answer.content) if answer.content else None


@pytest.fixture
def api(team: Team) -> Api:
    return Api(team)


@pytest.fixture
def strangers(other_team: Team) -> Api:
    return Api(other_team)


@pytest.fixture
def web(settings: Settings) -> Iterator[HttpReceiver]:
    settings.WFLO_ALLOW_PRIVATE_EGRESS = (ip_network("127.0.0.0/8"),)
    with http_receiver() as receiver:
        yield receiver


def open_some(team: Team) -> None:
    start = datetime(2026, 11, 26, 12, tzinfo=UTC)
    for place, kind in enumerate(("loop", "budget", "errors", "loop", "drift")):
        alerts.open_once(
            team, kind, "high", f"{kind}:{place}", run=f"r{place}", now=start + timedelta(minutes=place // 2)
        )


def test_alerts_are_listed_newest_first_page_by_page(team: Team, api: Api, strangers: Api) -> None:
    open_some(team)
    seen, cursor = [], ""
    while True:
        page = api("GET", f"alerts?limit=2{cursor}")
        seen += [alert["run"] for alert in page["alerts"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert len(seen) == len(set(seen)) == 5
    assert seen[0] == "r4"
    assert set(seen[3:]) == {"r0", "r1"}
    assert strangers("GET", "alerts") == {"alerts": [], "next_cursor": None}


def test_alerts_are_filtered_by_kind_state_and_run(team: Team, api: Api) -> None:
    open_some(team)
    first = Alert.objects.get(run="r0").pk
    assert api("POST", f"alerts/{first}/acknowledge")["state"] == "acknowledged"
    api("POST", f"alerts/{Alert.objects.get(run='r1').pk}/resolve")

    def runs(query: str) -> list[str]:
        return sorted(alert["run"] for alert in api("GET", f"alerts?{query}")["alerts"])

    assert runs("kind=loop") == ["r0", "r3"]
    assert runs("kind=loop&kind=drift&state=open") == ["r3", "r4"]
    assert runs("state=acknowledged&state=resolved") == ["r0", "r1"]
    assert runs("run=r2") == ["r2"]
    for query in ("kind=mood", "state=lost", "limit=0", "cursor=nonsense"):
        answer = api("GET", f"alerts?{query}", status=400)
        assert answer["field"] == query.partition("=")[0]


def test_an_alert_says_what_happened_and_what_to_do(team: Team, api: Api, settings: Settings) -> None:
    settings.WFLO_PUBLIC_URL = "https://wflo.example.org"
    alerts.open_once(
        team, "loop", "high", "loop:1", run="r1", agent="ops", payload={"cycle": ["a"], "burned_usd": "0.62"}
    )
    (alert,) = api("GET", "alerts")["alerts"]
    assert (alert["title"], alert["what"]) == ("ops goes round in a loop: a", "$0.6200 burned since it began.")
    assert alert["url"] == "https://wflo.example.org/runs/r1"
    assert (alert["times"], alert["facts"]) == (1, {"cycle": ["a"], "burned_usd": "0.62"})
    assert alert["opened_at"].endswith("Z")


def test_acting_is_audited_and_of_the_own_team(team: Team, api: Api, strangers: Api) -> None:
    opened = alerts.open_once(team, "loop", "high", "loop:1")
    for verb in ("acknowledge", "resolve"):
        strangers("POST", f"alerts/{opened.id}/{verb}", status=404)
    assert Alert.objects.get().acknowledged_at is None
    for verb in ("acknowledge", "acknowledge", "resolve", "resolve"):
        api("POST", f"alerts/{opened.id}/{verb}")
    entries = AuditEntry.objects.filter(object_kind="alert").values_list("action", "actor_kind")
    assert list(entries) == [("alert.acknowledge", "key"), ("alert.resolve", "key")]


def test_a_destination_lives_its_life(api: Api, strangers: Api, web: HttpReceiver) -> None:
    asked = {"name": "hook", "kind": "webhook", "address": f"{web.url}/9f8a7b", "alert_kinds": ["loop"]}
    made = api("POST", "destinations", asked, status=201)
    assert made["signing_secret"].startswith("whsec_")
    path = f"destinations/{made['id']}"
    (listed,) = api("GET", "destinations")["destinations"]
    assert "9f8a7b" not in json.dumps([made, listed])
    assert "signing_secret" not in listed
    assert api("POST", f"{path}/test") == {"arrived": True, "error": ""}
    verify(made["signing_secret"], web.got[0].headers, web.got[0].body)
    secret = api("POST", f"{path}/secret")["signing_secret"]
    web.statuses = [500]
    assert api("POST", f"{path}/test") == {"arrived": False, "error": "It answered 500."}
    verify(secret, web.got[1].headers, web.got[1].body)
    changed = api("PUT", path, {"name": "Ops", "alert_kinds": None, "events": ["job.failed"], "severity_least": "high"})
    assert (changed["name"], changed["alert_kinds"], changed["events"]) == ("Ops", None, ["job.failed"])
    assert changed["tried_error"] == "It answered 500."
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert api("POST", f"{path}/mute", {"until": until})["muted_until"] is not None
    assert api("POST", f"{path}/mute", {})["muted_until"] is None
    for method, more, body in (
        ("DELETE", "", None),
        ("POST", "/test", None),
        ("PUT", "", {"name": "x"}),
        ("POST", "/mute", {}),
    ):
        strangers(method, path + more, body, status=404)
    assert strangers("GET", "destinations") == {"destinations": []}
    api("DELETE", path, status=204)
    assert api("GET", "destinations") == {"destinations": []}


def test_what_is_wrong_with_a_destination_is_named(api: Api) -> None:
    good = {"name": "x", "kind": "webhook", "address": "https://example.org/"}
    for change, field in (
        ({"address": "http://169.254.169.254/"}, "address"),
        ({"kind": "pigeon"}, "kind"),
        ({"name": ""}, "name"),
        ({"events": ["x"]}, "events.0"),
        ({"alert_kinds": []}, "alert_kinds"),
    ):
        assert api("POST", "destinations", good | change, status=400)["field"].endswith(field)


def test_rules_are_read_set_and_taken_back(api: Api, strangers: Api) -> None:
    assert [rule["over"] for rule in api("GET", "alert-rules")["rules"]] == [5, 5000, 200, 0]
    rule = api("PUT", "alert-rules", {"kind": "errors", "over": 12.5, "agent": "ops", "severity": "critical"})
    assert (rule["over"], rule["agent"], rule["calls_least"]) == (12.5, "ops", 20)
    assert len(api("GET", "alert-rules")["rules"]) == 5
    assert api("PUT", "alert-rules", {"kind": "errors", "over": 101}, status=400)["field"] == "over"
    strangers("DELETE", f"alert-rules/{rule['id']}", status=404)
    api("DELETE", f"alert-rules/{rule['id']}", status=204)
    assert len(api("GET", "alert-rules")["rules"]) == 4
