"""From an alert's row to whoever wants it: at least once, under one id, retried, bounded, whatever dies on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from pytest_django.fixtures import Settings

from tests.make import make_team
from tests.tracking.receivers import HttpReceiver, MailReceiver, http_receiver, mail_receiver
from tracking import alerts
from tracking.alerts import destinations, outbox
from tracking.alerts.deliver import deliver
from tracking.audit import SYSTEM
from tracking.errors import Invalid
from tracking.models import Alert, Delivery, Destination, Team
from wflo.webhooks import verify

ROOT = Path(__file__).resolve().parent.parent.parent
LOOPBACK = (ip_network("127.0.0.0/8"),)

pytestmark = pytest.mark.django_db


@pytest.fixture
def web(settings: Settings) -> Iterator[HttpReceiver]:
    settings.WFLO_ALLOW_PRIVATE_EGRESS = LOOPBACK
    settings.WFLO_PUBLIC_URL = "https://wflo.example.org"
    with http_receiver() as receiver:
        yield receiver


@pytest.fixture
def mail(settings: Settings) -> Iterator[MailReceiver]:
    with mail_receiver() as receiver:
        settings.WFLO_SMTP_URL = receiver.url
        yield receiver


def webhook(team: Team, url: str, **options: Any) -> tuple[Destination, str]:
    return destinations.create(team, name="hook", kind="webhook", address=url, actor=SYSTEM, **options)


def open_alert(team: Team, name: str = "r1", *, severity: str = "high", kind: str = "loop") -> None:
    alerts.open_once(
        team, kind, severity, f"{kind}:{name}", run=name, agent="ops", payload={"cycle": ["a"], "burned_usd": "0.62"}
    )


def make_due() -> None:
    """As if the pauses, leases and quiet times were over."""
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    Delivery.objects.filter(state="waiting").update(next_at=long_ago)
    Destination.objects.update(quiet_until=long_ago)


def test_a_webhook_gets_a_signed_alert_once(team: Team, web: HttpReceiver) -> None:
    _, secret = webhook(team, f"{web.url}/hook")
    open_alert(team)
    assert (deliver(), deliver()) == (1, 0)
    (got,) = web.got
    delivery = Delivery.objects.get()
    assert verify(secret, got.headers, got.body) == str(delivery.pk)
    body = json.loads(got.body)
    alert = Alert.objects.get()
    assert (body["id"], body["type"], body["team"]) == (str(delivery.pk), "alert.opened", team.slug)
    assert body["data"] == {
        "id": str(alert.pk), "kind": "loop", "severity": "high", "title": "ops goes round in a loop: a",
        "what": "$0.6200 burned since it began.", "todo": "Look at the steps, and stop the run if it gets nowhere.",
        "url": "https://wflo.example.org/runs/r1", "run": "r1", "agent": "ops", "times": 1,
        "opened_at": alert.opened_at.isoformat(), "facts": {"cycle": ["a"], "burned_usd": "0.62"},
    }  # fmt: skip
    assert (delivery.state, delivery.attempts) == ("delivered", 1)
    assert alert.delivered_at is not None
    assert Destination.objects.get().tried_error == ""


def test_the_same_again_is_not_told_again_but_a_new_opening_is(team: Team, web: HttpReceiver) -> None:
    webhook(team, web.url)
    open_alert(team)
    deliver()
    open_alert(team)
    deliver()
    assert len(web.got) == 1
    alerts.resolve(team, [Alert.objects.get().pk], actor=SYSTEM)
    open_alert(team)
    deliver()
    assert len(web.got) == 2
    assert len({got.headers["webhook-id"] for got in web.got}) == 2


def test_each_destination_gets_what_it_asked_for(team: Team, web: HttpReceiver) -> None:
    webhook(team, f"{web.url}/all")
    webhook(team, f"{web.url}/loops", alert_kinds=["loop"])
    webhook(team, f"{web.url}/grave", severity_least="critical")
    webhook(team, f"{web.url}/jobs", alert_kinds=[], events=["job.failed"])
    muted, _ = webhook(team, f"{web.url}/muted")
    destinations.mute(muted, datetime.now(UTC) + timedelta(hours=1), actor=SYSTEM)
    webhook(make_team("Elsewhere"), f"{web.url}/elsewhere")
    open_alert(team, severity="high")
    open_alert(team, kind="drift", severity="critical")
    deliver()
    told = sorted((got.path, json.loads(got.body)["data"]["kind"]) for got in web.got)
    assert told == [("/all", "drift"), ("/all", "loop"), ("/grave", "drift"), ("/loops", "loop")]


def test_an_alert_that_nobody_wants_is_handed_over_too(team: Team) -> None:
    open_alert(team)
    assert deliver() == 0
    assert Alert.objects.get().delivered_at is not None


def test_a_destination_made_later_hears_only_of_what_comes(team: Team, web: HttpReceiver) -> None:
    open_alert(team, "before")
    deliver()
    webhook(team, web.url)
    open_alert(team, "after")
    deliver()
    assert [json.loads(got.body)["data"]["run"] for got in web.got] == ["after"]


def test_what_fails_is_tried_again_under_the_same_id_and_given_up_in_the_end(team: Team, web: HttpReceiver) -> None:
    webhook(team, web.url)
    open_alert(team)
    tries = len(outbox.PAUSES) + 1
    web.statuses = [500, 0, 302, 404] + [503] * 10
    errors, pauses = [], []
    for _ in range(tries):
        deliver()
        delivery = Delivery.objects.get()
        errors.append(delivery.error)
        pauses.append(round((delivery.next_at - datetime.now(UTC)).total_seconds()))
        assert deliver() == 0
        make_due()
    assert errors[:4] == [
        "It answered 500.",
        "127.0.0.1 closed the connection without an answer.",
        "It answered 302: redirects are not followed.",
        "It answered 404.",
    ]
    assert len({got.headers["webhook-id"] for got in web.got}) == 1
    assert (delivery.state, delivery.attempts, len(web.got)) == ("given_up", tries, tries)
    assert pauses[:-1] == sorted(pauses[:-1])
    assert Destination.objects.get().tried_error == "It answered 503."


def test_after_a_failure_the_rest_waits_and_its_tries_are_not_used_up(team: Team, web: HttpReceiver) -> None:
    webhook(team, web.url)
    for name in ("r1", "r2", "r3"):
        open_alert(team, name)
    web.statuses = [204, 500]
    deliver()
    standing = sorted(Delivery.objects.values_list("state", "attempts"))
    assert standing == [("delivered", 1), ("waiting", 0), ("waiting", 1)]
    make_due()
    deliver()
    assert sorted(json.loads(got.body)["data"]["run"] for got in web.got[-2:]) != ["r1", "r1"]
    assert Delivery.objects.filter(state="delivered").count() == 3


def test_a_dead_destination_holds_up_nobody(team: Team, web: HttpReceiver, settings: Settings) -> None:
    settings.LIMITS = {**settings.LIMITS, "deliveries_per_webhook": 2, "deliveries_per_round": 4}
    with http_receiver() as dead:
        dead_url = dead.url
    webhook(team, dead_url)
    for place in range(6):
        open_alert(team, f"old{place}")
    outbox.fan_out()
    webhook(team, web.url)
    open_alert(team, "new")
    deliver()
    assert [json.loads(got.body)["data"]["run"] for got in web.got] == ["new"]


def test_no_more_than_so_many_wait_for_one_destination(team: Team, settings: Settings) -> None:
    settings.LIMITS = {**settings.LIMITS, "deliveries_waiting_per_destination": 2}
    webhook(team, "https://example.org/")
    for place in range(4):
        open_alert(team, f"r{place}")
    outbox.fan_out()
    states = sorted(Delivery.objects.values_list("state", flat=True))
    assert states == ["given_up", "given_up", "waiting", "waiting"]
    assert Delivery.objects.filter(error__startswith="Too many").count() == 2


def test_people_get_one_message_of_all_that_gathered(team: Team, mail: MailReceiver) -> None:
    destinations.create(team, name="us", kind="email", address="a@example.org", actor=SYSTEM)
    open_alert(team, "r0")
    deliver()
    for place in range(1, 14):
        open_alert(team, f"r{place}")
    assert deliver() == 0  # some quiet after a message
    make_due()
    assert deliver() == 13
    one, many = mail.got
    assert one["Subject"] == "Core: ops goes round in a loop: a"
    assert many["Subject"] == "Core: 13 alerts"
    assert many.get_content().count("•") == 10
    assert "And 3 more" in many.get_content()
    assert Delivery.objects.filter(state="delivered").count() == 14


def test_mail_that_is_not_taken_is_tried_again(team: Team, mail: MailReceiver) -> None:
    destinations.create(team, name="us", kind="email", address="gone@example.org", actor=SYSTEM)
    mail.refuses = {"gone@example.org"}
    open_alert(team)
    deliver()
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.error) == ("waiting", "The service could not be reached, or did not take it.")


def test_no_name_calls_people_in_a_chat_and_no_line_ends_a_header(
    team: Team, web: HttpReceiver, mail: MailReceiver
) -> None:
    destinations.create(team, name="c", kind="apprise", address=f"json://127.0.0.1:{web.port}/x", actor=SYSTEM)
    destinations.create(team, name="m", kind="email", address="a@example.org", actor=SYSTEM)
    alerts.open_once(team, "loop", "low", "loop:x", agent="@everyone <!channel>\r\nBcc: evil@example.org")
    deliver()
    said = json.loads(web.got[0].body)
    assert "@" not in said["title"] + said["message"]
    assert "<" not in said["title"] + said["message"]
    assert mail.recipients == [["a@example.org"]]
    assert mail.got[0]["Bcc"] is None
    assert "Bcc: evil@example.org" in mail.got[0]["Subject"]


def test_an_event_goes_to_those_that_asked(team: Team, web: HttpReceiver) -> None:
    _, secret = webhook(team, f"{web.url}/jobs", alert_kinds=[], events=["job.completed", "run.killed"])
    webhook(team, f"{web.url}/others", events=["job.failed"])
    assert alerts.notify(team, "job.completed", {"job_id": "j1", "cost_usd": "0.5", "credits": 3}) == 1
    assert alerts.notify(team, "run.completed", {"run_id": "r1"}) == 0
    deliver()
    (got,) = web.got
    verify(secret, got.headers, got.body)
    body = json.loads(got.body)
    assert (got.path, body["type"]) == ("/jobs", "job.completed")
    assert body["data"]["job_id"] == "j1"
    assert (body["data"]["credits"], body["data"]["title"]) == (3, "Job j1 is done")
    with pytest.raises(ValueError, match="exploded"):
        alerts.notify(team, "job.exploded", {})
    with pytest.raises(Invalid, match="payload"):
        alerts.notify(team, "job.completed", {"x": "y" * 40_000})


def test_an_event_of_a_transaction_that_is_undone_is_not_told(team: Team, web: HttpReceiver) -> None:
    webhook(team, web.url, events=["job.failed"])
    with transaction.atomic():
        alerts.notify(team, "job.failed", {"job_id": "j1"})
        transaction.set_rollback(True)
    assert deliver() == 0


def test_what_is_long_over_is_forgotten(team: Team, web: HttpReceiver) -> None:
    webhook(team, web.url)
    open_alert(team, "open")
    open_alert(team, "over")
    deliver()
    alerts.resolve(team, [Alert.objects.get(run="over").pk], actor=SYSTEM)
    assert outbox.clear() == 0
    outbox.clear(datetime.now(UTC) + timedelta(days=31))
    assert (Delivery.objects.count(), Alert.objects.count()) == (0, 2)
    outbox.clear(datetime.now(UTC) + timedelta(days=401))
    assert [alert.run for alert in Alert.objects.all()] == ["open"]


# --- with processes and connections of their own ----------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_many_workers_at_once_tell_each_alert_once(web: HttpReceiver) -> None:
    team = make_team("Crowd")
    webhook(team, web.url)
    for place in range(40):
        open_alert(team, f"r{place}")
    ready = threading.Barrier(6)

    def work(_: int) -> int:
        ready.wait()
        try:
            return sum(deliver() for _ in range(4))
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        tried = sum(pool.map(work, range(6)))
    assert tried == Delivery.objects.count() == 40
    assert len({got.headers["webhook-id"] for got in web.got}) == len(web.got) == 40


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_while_it_sends_leaves_the_alert_to_the_next(web: HttpReceiver) -> None:
    team = make_team("Crash")
    webhook(team, web.url)
    open_alert(team)
    code = "import django; django.setup(); from tracking.alerts.deliver import deliver; deliver()"
    database = connection.settings_dict
    url = "postgresql://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**database)
    environ = {**os.environ, "WFLO_DATABASE_URL": url, "WFLO_ALLOW_PRIVATE_EGRESS": "127.0.0.0/8",
               "DJANGO_SETTINGS_MODULE": "wflo_site.settings"}  # fmt: skip
    arrived, go_on = threading.Event(), threading.Event()
    web.hold = (arrived, go_on)
    worker = subprocess.Popen([sys.executable, "-c", code], env=environ, cwd=ROOT)
    assert arrived.wait(60)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    web.hold = None
    go_on.set()
    assert deliver() == 0  # the dead worker's lease
    make_due()
    assert deliver() == 1
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts) == ("delivered", 2)
    assert [got.headers["webhook-id"] for got in web.got] == [str(delivery.pk)] * 2


@pytest.mark.django_db(transaction=True)
def test_who_lost_the_lease_does_not_settle(web: HttpReceiver) -> None:
    team = make_team("Late")
    webhook(team, web.url)
    open_alert(team)
    outbox.fan_out()
    (late,) = outbox.claim()
    make_due()
    assert deliver() == 1
    outbox.settle([late], {late.id: "It answered 500."})
    assert Delivery.objects.get().state == "delivered"
