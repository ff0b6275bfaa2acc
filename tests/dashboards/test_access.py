from __future__ import annotations

import re

from django.test import Client
from pytest_django import DjangoAssertNumQueries

from tests.make import make_key, make_team, make_user, signed_in
from tracking import teams
from tracking.audit import SYSTEM
from tracking.models import Membership, Team, User


def test_a_chosen_team_stays_chosen(team: Team, alice: User) -> None:
    sister = make_team("Sister", organization=team.organization)
    Membership.objects.create(team=sister, user=alice, role="viewer")
    client = signed_in(alice)
    assert "Settings of Core" in client.get("/settings/members").content.decode()
    assert "Settings of Sister" in client.get("/settings/members?team=sister").content.decode()
    assert "Settings of Sister" in client.get("/settings/members").content.decode()


def test_who_is_removed_from_the_chosen_team_lands_in_another(team: Team, bob: User) -> None:
    sister = make_team("Sister", organization=team.organization)
    seat = Membership.objects.create(team=sister, user=bob, role="viewer")
    make_user("Zoe", team=sister, role="admin")
    client = signed_in(bob)
    client.get("/settings/members?team=sister")
    teams.remove_member(seat, actor=SYSTEM)
    assert "Settings of Core" in client.get("/settings/members").content.decode()
    assert client.get("/settings/members?team=sister").status_code == 404


def test_a_strangers_team_and_no_team_look_the_same(team: Team, charlie: User) -> None:
    client = signed_in(charlie)
    pages = [client.get(f"/settings/members?team={slug}") for slug in (team.slug, "no-such-team")]
    assert [page.status_code for page in pages] == [404, 404]
    # Ids of requests and masks of CSRF tokens are new each time.
    bodies = {re.sub(r"[0-9a-f]{12,}|[0-9A-Za-z]{64}", "", page.content.decode()) for page in pages}
    assert len(bodies) == 1


def test_a_strangers_objects_are_not_found_by_id_in_ones_own_team(team: Team, alice: User, charlie: User) -> None:
    key, _ = make_key(team)
    seat = Membership.objects.get(user=alice)
    client = signed_in(charlie)
    for path in (
        f"keys/{key.pk}/revoke",
        f"keys/{key.pk}/rotate",
        f"members/{seat.pk}/remove",
        f"members/{seat.pk}/link",
    ):
        assert client.post(f"/settings/{path}").status_code == 404
    assert client.post(f"/settings/members/{seat.pk}/role", {"role": "viewer"}).status_code == 404
    key.refresh_from_db()
    seat.refresh_from_db()
    assert (key.revoked_at, seat.role) == (None, "admin")


def test_a_refusal_names_who_can_grant_the_right(team: Team, alice: User, bob: User) -> None:
    make_user("Ann", team=team, role="admin")
    response = signed_in(bob).post("/settings/keys/make", {"name": "k", "scopes": ["read"]})
    assert response.status_code == 403
    assert "Only admins of Core can do this. You are a member. Ask Alice or Ann." in response.content.decode()


def test_who_is_in_no_team_is_told_what_to_do(db: None) -> None:
    client = signed_in(make_user("Nora"))
    response = client.get("/settings/members")
    assert response.status_code == 403
    assert "You are in no team yet." in response.content.decode()
    assert client.get("/settings/account").status_code == 200


def test_who_is_not_signed_in_goes_to_sign_in_and_comes_back(db: None) -> None:
    response = Client().get("/settings/audit?kind=key")
    assert response.headers["Location"] == "/login?next=%2Fsettings%2Faudit%3Fkind%3Dkey"
    posted = Client().post("/settings/keys/make")
    assert posted.headers["Location"] == "/login"
    fragment = Client().get(
        "/settings/audit",
        headers={"HX-Request": "true", "HX-Current-URL": "http://evil.example/settings/audit?kind=key"},
    )
    assert (fragment.status_code, fragment.headers["HX-Redirect"]) == (
        401,
        "/login?next=%2Fsettings%2Faudit%3Fkind%3Dkey",
    )


def test_a_disabled_person_is_out_at_once(team: Team, bob: User) -> None:
    client = signed_in(bob)
    User.objects.filter(pk=bob.pk).update(is_active=False)
    assert client.get("/settings/members").status_code == 302


def test_the_team_switcher_lists_ones_own_teams(team: Team, other_team: Team, alice: User) -> None:
    page = signed_in(alice).get("/settings/members").content.decode()
    assert "?team=core" in page
    assert "?team=elsewhere" not in page


def test_asking_who_sees_what_costs_one_question_each(
    team: Team, alice: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(20):
        Membership.objects.create(team=make_team(f"Team {number}"), user=alice, role="viewer")
    client = signed_in(alice)
    client.get("/settings/account?team=core")
    with django_assert_num_queries(5):  # session, person, seat, the switcher's list, open alerts
        client.get("/settings/account")
