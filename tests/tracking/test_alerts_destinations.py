"""Where a team is told: what an address must be, what is sealed, what is shown, who may see whose."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from pytest_django.fixtures import Settings

from tests.tracking.receivers import HttpReceiver, MailReceiver, http_receiver, mail_receiver
from tracking.alerts import apprise_send, deliver, destinations
from tracking.alerts.addresses import mail_server
from tracking.alerts.apprise_send import Message
from tracking.audit import SYSTEM, Actor
from tracking.errors import Invalid, NotFound
from tracking.models import AuditEntry, Delivery, Destination, Team, User
from tracking.sealed import unseal
from wflo.webhooks import verify

SLACK = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ".replace("/A1", "/B1")

pytestmark = pytest.mark.django_db


@pytest.fixture
def web(settings: Settings) -> Iterator[HttpReceiver]:
    settings.WFLO_ALLOW_PRIVATE_EGRESS = (ip_network("127.0.0.0/8"),)
    with http_receiver() as receiver:
        yield receiver


@pytest.fixture
def mail(settings: Settings) -> Iterator[MailReceiver]:
    with mail_receiver() as receiver:
        settings.WFLO_SMTP_URL = receiver.url
        yield receiver


def make(team: Team, kind: str, address: str, **options: Any) -> tuple[Destination, str]:
    return destinations.create(team, name=f"My {kind}", kind=kind, address=address, actor=SYSTEM, **options)


def test_a_webhooks_address_is_sealed_and_its_secret_shown_once(team: Team) -> None:
    destination, secret = make(team, "webhook", "https://example.org/hooks/9f8a7b")
    stored = Destination.objects.get()
    assert secret.startswith("whsec_")
    assert b"9f8a7b" not in bytes(stored.address)
    assert secret.encode() not in bytes(stored.signing or b"")
    assert (stored.shown, unseal(stored.address)) == ("https://example.org", "https://example.org/hooks/9f8a7b")
    entry = AuditEntry.objects.get(action="destination.create")
    assert entry.after is not None
    assert (entry.after["shown"], "9f8a7b" in str(entry.after)) == ("https://example.org", False)


def test_each_kind_shows_no_more_than_it_may(team: Team, settings: Settings) -> None:
    settings.WFLO_SMTP_URL = "smtp://mail.example.org?from=wflo@example.org"
    mails = "a@example.org; b@example.org\nc@example.org, a@example.org"
    assert make(team, "email", mails)[0].shown == "a@example.org, b@example.org and 1 more"
    assert make(team, "slack", SLACK)[0].shown == "hooks.slack.com"
    telegram, secret = make(team, "apprise", "tgram://123456789:abcdefg_hijklmnop/12315544/")
    assert (telegram.shown, secret) == ("Telegram (tgram://…)", "")
    assert apprise_send.service_of(SLACK) == "Slack"


@pytest.mark.parametrize(
    ("kind", "address", "words"),
    [
        ("webhook", "http://127.0.0.1/", "no public address"),
        ("webhook", "ftp://example.org/", "begins with https"),
        ("webhook", "", "Give the address"),
        ("slack", "https://hooks.slack.com.evil.example/services/T1/B1/x", "Slack gives"),
        ("slack", "https://hooks.slack.com/services/T1/B1/x?template=/etc/passwd", "Slack gives"),
        ("email", "not an address", "is no mail address"),
        ("email", "a@example.org\r\nBcc: b@example.org", "is no mail address"),
        ("email", " ".join(f"a{n}@example.org" for n in range(21)), "at most 20"),
        ("apprise", "nonsense", "as apprise has them"),
        ("apprise", "nope://example.org", "knows no such address"),
        ("apprise", "syslog://", "as apprise has them"),
        ("apprise", "dbus://x", "speaks to the desktop"),
        ("apprise", "workflows://example.org/workflow/sig/?template=/etc/passwd", "Files of this server"),
        ("pigeon", "x", "Give a kind"),
    ],
)
def test_addresses_that_are_refused(team: Team, settings: Settings, kind: str, address: str, words: str) -> None:
    settings.WFLO_SMTP_URL = "smtp://mail.example.org"
    with pytest.raises(Invalid, match=words) as caught:
        make(team, kind, address)
    assert caught.value.field == ("kind" if kind == "pigeon" else "address")
    assert not Destination.objects.exists()


def test_without_a_mail_server_mail_is_refused_with_the_way_out(team: Team) -> None:
    with pytest.raises(Invalid, match="WFLO_SMTP_URL"):
        make(team, "email", "a@example.org")


@pytest.mark.parametrize(
    ("url", "mode", "port", "sender"),
    [
        ("smtp://mail.example.org", "starttls", 587, "Wflo <wflo@mail.example.org>"),
        ("smtps://bob%40example.org:p%2Fw@mail.example.org", "ssl", 465, "Wflo <bob@example.org>"),
        ("smtp://10.0.0.5:25?tls=off&from=alerts@example.org", "insecure", 25, "Wflo <alerts@example.org>"),
    ],
)
def test_a_mail_server_is_read(url: str, mode: str, port: int, sender: str) -> None:
    server = mail_server(url)
    assert (server["secure_mode"], server["port"], server["from_addr"]) == (mode, port, sender)


@pytest.mark.parametrize("url", ["mail.example.org", "http://mail.example.org", "smtp://", "smtp://x?form=y"])
def test_a_mail_server_that_is_none_is_told_at_the_start(url: str, settings: Settings) -> None:
    settings.WFLO_SMTP_URL = url
    with pytest.raises(SystemCheckError, match="WFLO_SMTP_URL is like"):
        call_command("check")


def test_fields_are_checked_by_name(team: Team) -> None:
    fields: list[tuple[dict[str, Any], str]] = [
        ({"name": " "}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"alert_kinds": ["nonsense"]}, "alert_kinds"),
        ({"alert_kinds": []}, "alert_kinds"),
        ({"events": ["job.exploded"]}, "events"),
        ({"severity_least": "mild"}, "severity_least"),
    ]
    for change, field in fields:
        given: dict[str, Any] = {"name": "x", "kind": "slack", "address": SLACK, "actor": SYSTEM, **change}
        with pytest.raises(Invalid) as caught:
            destinations.create(team, **given)
        assert caught.value.field == field


def test_a_change_keeps_the_address_unless_another_is_given(team: Team, alice: User) -> None:
    destination, _ = make(team, "webhook", "https://one.example/")
    given: dict[str, Any] = {"name": "Ops", "alert_kinds": ["loop"], "severity_least": "high", "events": ["job.failed"]}
    destinations.change(destination, actor=Actor.of(alice), **given)
    assert destinations.address_of(destinations.destination_of(team, destination.pk)) == "https://one.example/"
    destinations.change(destination, actor=Actor.of(alice), address="https://two.example/", **given)
    changed = destinations.destination_of(team, destination.pk)
    assert (changed.name, changed.shown, changed.alert_kinds) == ("Ops", "https://two.example", ["loop"])
    assert AuditEntry.objects.filter(action="destination.change", actor_name="Alice").count() == 2


def test_a_team_has_no_more_than_so_many(team: Team, settings: Settings) -> None:
    settings.LIMITS = {**settings.LIMITS, "destinations_per_team": 1}
    make(team, "slack", SLACK)
    with pytest.raises(Invalid, match="at most 1"):
        make(team, "slack", SLACK)


def test_another_teams_destination_is_not_there(team: Team, other_team: Team) -> None:
    destination, _ = make(team, "slack", SLACK)
    assert destinations.destinations_of(other_team) == []
    for wanted in (destination.pk, "nonsense"):
        with pytest.raises(NotFound):
            destinations.destination_of(other_team, wanted)


def test_mute_drops_what_waits_and_ends_by_itself(team: Team) -> None:
    destination, _ = make(team, "slack", SLACK)
    now = datetime.now(UTC)
    Delivery.objects.create(team=team, destination=destination, event="test", next_at=now, created_at=now)
    destinations.mute(destination, now + timedelta(hours=1), actor=SYSTEM)
    assert Delivery.objects.get().state == "given_up"
    with pytest.raises(Invalid, match="to come"):
        destinations.mute(destination, now, actor=SYSTEM)
    destinations.mute(destination, None, actor=SYSTEM)
    assert Destination.objects.get().muted_until is None


def test_a_removed_destination_takes_its_deliveries_along(team: Team, alice: User) -> None:
    destination, _ = make(team, "slack", SLACK)
    now = datetime.now(UTC)
    Delivery.objects.create(team=team, destination=destination, event="test", next_at=now, created_at=now)
    destinations.remove(destination, actor=Actor.of(alice))
    assert not Destination.objects.exists()
    assert not Delivery.objects.exists()
    assert AuditEntry.objects.filter(action="destination.remove", actor_name="Alice").exists()


def test_a_webhook_is_tried_with_a_signed_test(team: Team, alice: User, web: HttpReceiver) -> None:
    destination, secret = make(team, "webhook", f"{web.url}/hook")
    assert deliver.test(destination, actor=Actor.of(alice)) == ""
    (got,) = web.got
    verify(secret, got.headers, got.body)
    assert b"Alice pressed Test" in got.body
    web.statuses = [500]
    assert deliver.test(destination, actor=Actor.of(alice)) == "It answered 500."
    tried = Destination.objects.get()
    assert (tried.tried_error, tried.quiet_until) == ("It answered 500.", None)
    assert AuditEntry.objects.filter(action="destination.test").count() == 2


def test_another_signing_secret_is_in_force_at_once(team: Team, web: HttpReceiver) -> None:
    destination, old = make(team, "webhook", f"{web.url}/hook")
    new = destinations.new_signing_secret(destination, actor=SYSTEM)
    deliver.test(destinations.destination_of(team, destination.pk), actor=SYSTEM)
    (got,) = web.got
    verify(new, got.headers, got.body)
    with pytest.raises(ValueError, match="does not fit"):
        verify(old, got.headers, got.body)
    with pytest.raises(Invalid, match="Only webhooks"):
        destinations.new_signing_secret(make(team, "slack", SLACK)[0], actor=SYSTEM)


def test_mail_and_another_service_are_tried_for_real(
    team: Team, alice: User, web: HttpReceiver, mail: MailReceiver
) -> None:
    by_mail, _ = make(team, "email", "a@example.org, b@example.org")
    by_json, _ = make(team, "apprise", f"json://127.0.0.1:{web.port}/x")
    assert [deliver.test(to, actor=Actor.of(alice)) for to in (by_mail, by_json)] == ["", ""]
    assert sorted(to for batch in mail.recipients for to in batch) == ["a@example.org", "b@example.org"]
    assert mail.got[0]["Subject"] == "Core: This is a test"
    assert "Alice pressed Test" in mail.got[0].get_content()
    assert b"Alice pressed Test" in web.got[0].body
    web.statuses = [403]
    assert deliver.test(by_json, actor=Actor.of(alice)) == "The service answered 403."


def test_no_service_reaches_into_the_network_or_the_disk() -> None:
    """S16, for the code that is not ours: the guard of the process it runs in."""
    with http_receiver() as inside, mail_receiver() as relay:
        inward = [
            f"json://localhost:{inside.port}/x",
            f"form://127.0.0.1:{inside.port}/x",
            f"ntfy://127.0.0.1:{inside.port}/topic",
            "irc://127.0.0.1/room",
            f"mailto://u:p@127.0.0.1:{relay.port}?from=a@example.org&to=b@example.org&mode=insecure",
        ]
        addresses = [*inward, "workflows://example.org/workflow/sig/?template=/etc/passwd"]
        whys = apprise_send.send([Message(address, address, "t", "b") for address in addresses])
        assert ["no public address" in whys[address] for address in inward] == [True] * 5, whys
        assert "Files of this server are not read" in whys[addresses[-1]]
        assert (inside.got, relay.got) == ([], [])


def test_a_destination_of_another_key_says_what_to_do(team: Team, web: HttpReceiver, settings: Settings) -> None:
    webhook, _ = make(team, "webhook", web.url)
    service, _ = make(team, "apprise", f"json://127.0.0.1:{web.port}/x")
    settings.SECRET_KEY = "another one"
    for destination in (webhook, service):
        assert "WFLO_OLD_SECRET_KEYS" in deliver.test(destination, actor=SYSTEM)
    assert web.got == []
