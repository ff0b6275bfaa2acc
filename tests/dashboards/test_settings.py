from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from tests.make import make_key, make_team, make_user, signed_in
from tracking import audit
from tracking.errors import Unauthenticated
from tracking.keys import caller_for
from tracking.models import ApiKey, AuditEntry, Drop, Membership, Team, User
from tracking.retention import make_partitions


def _text(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


def test_a_made_key_is_shown_once_and_works(team: Team, alice: User) -> None:
    client = signed_in(alice)
    body = {"name": "ci", "scopes": ["ingest", "read"], "allowed_models": "gpt-4o\ngpt-4o-mini\n", "lifetime": "30"}
    body |= {"rpm_max": "60", "concurrent_max": "4"}
    response = client.post("/settings/keys/make", body)
    shown = re.findall(r"wf_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}", response.content.decode())
    assert len(set(shown)) == 1
    assert response.headers["Cache-Control"] == "no-store"
    caller = caller_for(shown[0])
    assert (caller.scopes, caller.allowed_models) == ({"ingest", "read"}, ("gpt-4o", "gpt-4o-mini"))
    page = _text(client, "/settings/keys")
    assert shown[0] not in page
    assert shown[0][:20] in page
    assert "60 calls a minute 4 at once" in page
    key = ApiKey.objects.get()
    assert (key.created_by, key.expires_at is not None) == (alice, True)


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("name", "", "This field is required."),
        ("scopes", [], "Tick at least one."),
        ("scopes", ["everything"], "Select a valid choice"),
        ("lifetime", "9999", "Select a valid choice"),
        ("allowed_models", "m" * 300, "at most 200 characters"),
    ],
)
def test_a_key_form_says_what_is_wrong_and_keeps_what_was_typed(
    team: Team, alice: User, field: str, value: object, fault: str
) -> None:
    body = {"name": "my agents", "scopes": ["ingest"], "allowed_models": "", "lifetime": "", field: value}
    response = signed_in(alice).post("/settings/keys/make", body)
    page = response.content.decode()
    assert response.status_code == 400
    assert fault in page
    assert field == "name" or 'value="my agents"' in page
    assert not ApiKey.objects.exists()


def test_a_key_is_revoked_and_replaced_from_its_page(team: Team, alice: User) -> None:
    client = signed_in(alice)
    key, text = make_key(team, name="ci")
    replaced = client.post(f"/settings/keys/{key.pk}/rotate").content.decode()
    successor = re.search(r"wf_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}", replaced)
    assert successor is not None
    assert caller_for(successor[0]).name == "ci"
    client.post(f"/settings/keys/{key.pk}/revoke")
    with pytest.raises(Unauthenticated):
        caller_for(text)
    assert "revoked" in _text(client, "/settings/keys")


def test_who_is_new_gets_a_link_shown_once_and_chooses_a_password(team: Team, alice: User) -> None:
    client = signed_in(alice)
    body = {"email": "dana@example.org", "name": "Dana", "role": "member"}
    page = client.post("/settings/members/add", body).content.decode()
    found = re.search(r"https?://[^\"<]+/account/password/[^\"<]+", page)
    assert found is not None
    link = "/" + found[0].split("/", 3)[3]
    assert link not in _text(client, "/settings/members")

    dana = Client()
    form = dana.get(link, follow=True)
    assert "Choose a password" in form.content.decode()
    short = dana.post(form.request["PATH_INFO"], {"password1": "short", "password2": "short"})
    assert "at least 10 characters" in short.content.decode()
    done = dana.post(
        form.request["PATH_INFO"], {"password1": "quite long enough", "password2": "quite long enough"}, follow=True
    )
    assert "Your password is kept" in done.content.decode()
    assert User.objects.get(email="dana@example.org").check_password("quite long enough")
    assert "This link no longer works" in Client().get(link, follow=True).content.decode()


def test_who_has_an_account_gets_no_link(team: Team, alice: User, charlie: User) -> None:
    response = signed_in(alice).post("/settings/members/add", {"email": charlie.email, "role": "viewer"})
    assert response.status_code == 302
    assert Membership.objects.filter(team=team, user=charlie).exists()


def test_a_link_ends_the_persons_sessions_when_it_is_used(team: Team, alice: User, bob: User) -> None:
    bobs = signed_in(bob)
    member = Membership.objects.get(user=bob)
    page = signed_in(alice).post(f"/settings/members/{member.pk}/link").content.decode()
    found = re.search(r"/account/password/[^\"<]+", page)
    assert found is not None
    assert bobs.get("/settings/members").status_code == 200
    other = Client()
    form = other.get(found[0], follow=True)
    other.post(form.request["PATH_INFO"], {"password1": "quite long enough", "password2": "quite long enough"})
    assert bobs.get("/settings/members").status_code == 302


def test_an_admin_makes_no_link_for_who_runs_more_than_their_team(team: Team, alice: User) -> None:
    make_user("Oscar", team=team, is_operator=True)
    member = Membership.objects.get(user__name="Oscar")
    response = signed_in(alice).post(f"/settings/members/{member.pk}/link")
    assert response.status_code == 403
    assert "/account/password/" not in response.content.decode()
    assert "Only an operator" in response.content.decode()


def test_the_last_admin_stays(team: Team, alice: User) -> None:
    client = signed_in(alice)
    member = Membership.objects.get(user=alice)
    for path, body in (
        (f"/settings/members/{member.pk}/remove", {}),
        (f"/settings/members/{member.pk}/role", {"role": "viewer"}),
    ):
        response = client.post(path, body)
        assert response.status_code == 400
        assert "last admin" in response.content.decode()


def test_what_is_kept_is_set_by_form_with_its_bounds(team: Team, alice: User) -> None:
    client = signed_in(alice)
    body = {"retention_days": "30", "redaction": "secrets", "spans_per_day_max": "1000000"}
    assert client.post("/settings/retention/change", body).status_code == 302
    team.refresh_from_db()
    assert (team.retention_days, team.redaction, team.spans_per_day_max) == (30, "secrets", 1_000_000)
    for field, value in (
        ("retention_days", "0"),
        ("retention_days", "x"),
        ("redaction", "none"),
        ("spans_per_day_max", "-1"),
    ):
        response = client.post("/settings/retention/change", {**body, field: value})
        assert (response.status_code, "fault" in response.content.decode()) == (400, True)
    assert "30 days" in _text(client, "/settings/retention")


def test_an_operator_sees_what_is_stored_and_others_do_not(team: Team, alice: User) -> None:
    assert "Stored by day" not in _text(signed_in(alice), "/settings/retention")
    make_partitions()
    assert "Stored by day" in _text(
        signed_in(make_user("Oscar", is_operator=True)), f"/settings/retention?team={team.slug}"
    )


def test_an_owner_makes_another_team_and_others_join_it(team: Team, bob: User) -> None:
    team.organization.owners.add(bob)
    response = signed_in(bob).post("/settings/team/create", {"name": "Research", "time_zone": "Europe/Berlin"})
    assert response.headers["Location"] == "/settings/members?team=research"
    made = Team.objects.get(slug="research")
    assert (made.organization, made.time_zone) == (team.organization, "Europe/Berlin")


def test_every_change_on_these_pages_is_in_the_log_with_its_request(team: Team, alice: User, bob: User) -> None:
    team.organization.owners.add(alice)
    client = signed_in(alice)
    key, _ = make_key(team)
    member = Membership.objects.get(user=bob)
    steps = [
        ("/settings/members/add", {"email": "dana@example.org", "role": "viewer"}, "member.add"),
        (f"/settings/members/{member.pk}/role", {"role": "admin"}, "member.change_role"),
        (f"/settings/members/{member.pk}/link", {}, "member.make_link"),
        ("/settings/owners/add", {"email": bob.email}, "owner.add"),
        (f"/settings/owners/{bob.pk}/remove", {}, "owner.remove"),
        (f"/settings/members/{member.pk}/remove", {}, "member.remove"),
        ("/settings/team/change", {"name": "Kernel", "time_zone": "UTC"}, "team.change"),
        ("/settings/keys/make", {"name": "ci", "scopes": ["read"]}, "key.make"),
        (f"/settings/keys/{key.pk}/rotate", {}, "key.rotate"),
        (f"/settings/keys/{key.pk}/revoke", {}, "key.revoke"),
        (
            "/settings/retention/change",
            {"retention_days": "7", "redaction": "off", "spans_per_day_max": ""},
            "retention.change",
        ),
    ]
    for path, body, action in steps:
        response = client.post(path, body)
        entry = AuditEntry.objects.filter(team=team).latest("id")
        assert (entry.action, entry.actor_id) == (action, str(alice.pk)), path
        assert entry.request_id == response.headers["X-Request-Id"]
    assert audit.verify(team) is None
    page = _text(client, "/settings/audit")
    for words in ("added <b>dana@example.org</b>", "revoked the key <b>test key</b>", "<del>90</del>", "<ins>7</ins>"):
        assert words in page


def test_the_log_is_paged_and_filtered(team: Team, alice: User, other_team: Team) -> None:
    for number in range(120):
        audit.record(audit.SYSTEM, team, "team.change", "team", number, after={"time_zone": f"name-{number:03}"})
    audit.record(audit.Actor.of(alice), team, "member.add", "member", 1, after={"email": "x@example.org"})
    audit.record(audit.SYSTEM, other_team, "team.change", "team", 1, after={"name": "not yours"})
    client = signed_in(alice)
    seen: list[str] = []
    path = "/settings/audit?kind=team"
    while path:
        page = _text(client, path)
        seen += re.findall(r"<ins>name-(\d+)</ins>", page)
        older = re.search(r'href="([^"]*older=\d+)"', page)
        path = older[1].replace("&amp;", "&") if older else ""
    assert seen == [f"{number:03}" for number in reversed(range(120))]
    by_alice = _text(client, "/settings/audit?who=alice")
    assert "x@example.org" in by_alice
    assert "name-" not in by_alice
    for odd in ("older=-1", "older=x", "older=99999999999999999999", "kind=%00", "who=%00'%22"):
        assert client.get(f"/settings/audit?{odd}").status_code == 200


def test_names_cannot_put_html_into_a_page(team: Team, alice: User) -> None:
    attack = "<img src=x onerror=alert(1)>"
    client = signed_in(alice)
    client.post("/settings/members/add", {"email": "eve@example.org", "name": attack, "role": "viewer"})
    client.post("/settings/keys/make", {"name": attack, "scopes": ["read"], "allowed_models": attack})
    client.post("/settings/team/change", {"name": attack, "time_zone": "UTC"})
    client.post("/settings/account/name", {"name": attack})
    for path in ("members", "keys", "team", "audit", "retention", "account"):
        assert attack not in _text(client, f"/settings/{path}")


def test_a_form_sends_its_team_along_so_that_two_tabs_do_not_mix(team: Team, alice: User) -> None:
    sister = make_team("Sister", organization=team.organization)
    Membership.objects.create(team=sister, user=alice, role="admin")
    client = signed_in(alice)
    first_tab = _text(client, "/settings/keys?team=core")
    _text(client, "/settings/keys?team=sister")
    action = re.search(r'action="(/settings/keys/make[^"]*)"', first_tab)
    assert action is not None
    client.post(action[1], {"name": "k", "scopes": ["read"]})
    assert ApiKey.objects.get().team == team


def test_own_name_and_password_are_changed_and_other_sessions_end(team: Team) -> None:
    dana = make_user("Dana", team=team, password="the old password")
    here, there = signed_in(dana), signed_in(dana)
    here.post("/settings/account/name", {"name": "Dana Scully"})
    assert "Dana Scully" in _text(there, "/settings/account")
    wrong = here.post(
        "/settings/account/password",
        {"oldpassword": "not it", "password1": "the new password", "password2": "the new password"},
    )
    assert (wrong.status_code, "not your present password" in wrong.content.decode()) == (400, True)
    done = here.post(
        "/settings/account/password",
        {"oldpassword": "the old password", "password1": "the new password", "password2": "the new password"},
        follow=True,
    )
    assert "Your other sessions have ended" in done.content.decode()
    assert there.get("/settings/account").status_code == 302
    assert AuditEntry.objects.filter(team=None, action="person.change_password", actor_id=str(dana.pk)).exists()


def test_without_a_csrf_token_nothing_is_changed(team: Team, alice: User) -> None:
    client = signed_in(alice, csrf=True)
    body = {"name": "k", "scopes": ["read"]}
    for content_type in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"):
        data = "name=k&scopes=read" if "form-url" in content_type else '{"name": "k"}'
        assert client.post("/settings/keys/make", data, content_type=content_type).status_code == 403
    assert client.post("/settings/keys/make", body, headers={"HX-Request": "true"}).status_code == 403
    assert not ApiKey.objects.exists()
    page = client.get("/settings/keys")
    token = page.cookies["csrftoken"].value
    assert client.post("/settings/keys/make", body, headers={"X-CSRFToken": token}).status_code == 200
    assert ApiKey.objects.count() == 1


def test_what_senders_gave_up_is_shown_with_what_to_do(team: Team, other_team: Team, alice: User) -> None:
    client, today = signed_in(alice), datetime.now(UTC).date()
    assert "what it has to let go it counts" in _text(client, "/settings/retention")
    for reason, events, days in (
        ("queue_full", 3, 0),
        ("queue_full", 1_200, 29),
        ("fault", 7, 30),
        ("<b>new</b>", 2, 1),
    ):
        Drop.objects.create(team=team, day=today - timedelta(days=days), reason=reason, events=events)
    Drop.objects.create(team=other_team, day=today, reason="too_large", events=9)
    text = _text(client, "/settings/retention")
    for words in (
        "queue full",
        "1,203",
        f"{today:%Y-%m-%d}",
        "WFLO_SPOOL_FOLDER",
        "&lt;b&gt;new&lt;/b&gt;",
        "gave them up",
    ):
        assert words in text
    assert "fault" not in text  # longer ago
    assert "too large" not in text  # another team's
