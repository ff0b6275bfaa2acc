from __future__ import annotations

import pytest
from pytest_django import Settings

from tests.make import make_team, make_user
from tracking import audit, teams
from tracking.audit import SYSTEM, Actor
from tracking.errors import Invalid, NotAllowed, NotFound
from tracking.models import AuditEntry, Membership, Team, User
from tracking.teams import Role


def _actions(team: Team | None) -> list[str]:
    return list(AuditEntry.objects.filter(team=team).order_by("id").values_list("action", flat=True))


def test_a_person_sees_their_teams_an_owner_the_organizations_an_operator_all(team: Team, alice: User) -> None:
    sister = make_team("Sister", organization=team.organization)
    elsewhere = make_team("Elsewhere")
    olive = make_user("Olive", team=team, role="viewer")
    team.organization.owners.add(olive)
    oscar = make_user("Oscar", is_operator=True)

    def seen(user: User) -> dict[str, str]:
        return {seat.team.name: seat.role.word for seat in teams.seats_of(user)}

    assert seen(alice) == {"Core": "admin"}
    assert seen(olive) == {"Core": "owner", "Sister": "owner"}
    assert seen(oscar) == {"Core": "operator", "Elsewhere": "operator", "Sister": "operator"}
    for user, other in ((alice, sister), (alice, elsewhere), (olive, elsewhere)):
        with pytest.raises(NotFound):
            teams.seat_of(user, other.slug)
    assert teams.seat_of(oscar, elsewhere.slug).role is Role.OPERATOR


def test_a_person_lands_in_their_own_team_first(team: Team) -> None:
    make_team("A team before it in the alphabet", organization=team.organization)
    olive = make_user("Olive", team=team, role="viewer")
    team.organization.owners.add(olive)
    seat = teams.first_seat_of(olive)
    assert seat is not None
    assert (seat.team, seat.role) == (team, Role.OWNER)
    assert teams.first_seat_of(make_user("Nora")) is None


@pytest.mark.django_db
def test_teams_of_one_name_have_addresses_of_their_own() -> None:
    assert [make_team("Über Team").slug for _ in range(3)] == ["uber-team", "uber-team-2", "uber-team-3"]
    assert make_team("日本").slug == "team"


def test_who_is_added_gets_an_account_without_a_password(team: Team, alice: User) -> None:
    membership, is_new = teams.add_member(team, " Dana@Example.ORG ", "viewer", name="Dana", actor=Actor.of(alice))
    assert is_new
    assert (membership.user.email, membership.user.name, membership.role) == ("dana@example.org", "Dana", "viewer")
    assert not membership.user.has_usable_password()
    assert _actions(team)[-1] == "member.add"


def test_who_has_an_account_is_only_seated(team: Team, charlie: User) -> None:
    membership, is_new = teams.add_member(team, charlie.email, "member", name="Someone else", actor=SYSTEM)
    assert not is_new
    charlie.refresh_from_db()
    assert (membership.user, charlie.name) == (charlie, "Charlie")


@pytest.mark.parametrize(
    ("email", "role", "name", "field"),
    [
        ("no address", "viewer", "", "email"),
        ("", "viewer", "", "email"),
        ("a@b.example", "owner", "", "role"),
        ("a@b.example", "", "", "role"),
        ("a@b.example", "viewer", "a\x00b", "name"),
        ("a@b.example", "viewer", "x" * 121, "name"),
        ("bob@example.org", "viewer", "", "email"),
    ],
)
def test_a_wrong_field_of_a_new_member_is_named(
    team: Team, bob: User, email: str, role: str, name: str, field: str
) -> None:
    people = User.objects.count()
    with pytest.raises(Invalid) as refused:
        teams.add_member(team, email, role, name=name, actor=SYSTEM)
    assert refused.value.field == field
    assert User.objects.count() == people


def test_roles_change_and_people_leave(team: Team, alice: User, bob: User) -> None:
    seat = Membership.objects.get(user=bob)
    teams.change_role(seat, "admin", actor=Actor.of(alice))
    assert teams.seat_of(bob, team.slug).role is Role.ADMIN
    teams.remove_member(seat, actor=Actor.of(alice))
    with pytest.raises(NotFound):
        teams.seat_of(bob, team.slug)
    assert User.objects.filter(pk=bob.pk).exists()
    assert _actions(team)[-2:] == ["member.change_role", "member.remove"]
    entry = AuditEntry.objects.filter(team=team, action="member.change_role").get()
    assert (entry.before["role"], entry.after["role"]) == ("member", "admin")


def test_a_role_that_stays_is_no_change(team: Team, bob: User) -> None:
    before = _actions(team)
    teams.change_role(Membership.objects.get(user=bob), "member", actor=SYSTEM)
    assert _actions(team) == before


def test_a_team_is_never_left_without_anyone_to_run_it(team: Team, alice: User, bob: User) -> None:
    seat = Membership.objects.get(user=alice)
    with pytest.raises(Invalid, match="last admin"):
        teams.change_role(seat, "viewer", actor=SYSTEM)
    with pytest.raises(Invalid, match="last admin"):
        teams.remove_member(seat, actor=SYSTEM)
    assert teams.seat_of(alice, team.slug).role is Role.ADMIN
    team.organization.owners.add(bob)
    teams.remove_member(seat, actor=SYSTEM)
    assert audit.verify(team) is None


def test_owners_come_from_the_organizations_teams_and_one_stays(
    team: Team, alice: User, bob: User, charlie: User
) -> None:
    with pytest.raises(Invalid):
        teams.add_owner(team, charlie.email, actor=SYSTEM)
    teams.add_owner(team, alice.email, actor=SYSTEM)
    with pytest.raises(Invalid, match="last owner"):
        teams.remove_owner(team, alice.pk, actor=SYSTEM)
    teams.add_owner(team, bob.email, actor=SYSTEM)
    teams.remove_owner(team, alice.pk, actor=SYSTEM)
    with pytest.raises(NotFound):
        teams.remove_owner(team, alice.pk, actor=SYSTEM)
    assert teams.owners_of(team) == [bob]


def test_a_sign_in_link_is_made_only_by_someone_above_the_person_everywhere(
    team: Team, other_team: Team, alice: User, bob: User, charlie: User
) -> None:
    oscar = make_user("Oscar", team=team, is_operator=True)
    teams.demand_may_reset(alice, bob)
    teams.demand_may_reset(oscar, charlie)
    with pytest.raises(NotAllowed):
        teams.demand_may_reset(alice, oscar)
    Membership.objects.create(team=other_team, user=bob, role="admin")
    with pytest.raises(NotAllowed, match="teams you do not run"):
        teams.demand_may_reset(alice, bob)
    team.organization.owners.add(bob)
    with pytest.raises(NotAllowed, match="runs more than this team"):
        teams.demand_may_reset(alice, bob)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"retention_days": 0}, "retention_days"),
        ({"retention_days": 3651}, "retention_days"),
        ({"redaction": "some"}, "redaction"),
        ({"spans_per_day_max": -1}, "spans_per_day_max"),
    ],
)
def test_retention_has_its_bounds(team: Team, values: dict[str, object], field: str) -> None:
    good = {"retention_days": 30, "redaction": "secrets", "spans_per_day_max": None}
    with pytest.raises(Invalid) as refused:
        teams.set_retention(team, **{**good, **values}, actor=SYSTEM)  # type: ignore[arg-type]
    assert refused.value.field == field
    teams.set_retention(team, **good, actor=SYSTEM)  # type: ignore[arg-type]
    team.refresh_from_db()
    assert (team.retention_days, team.redaction) == (30, "secrets")
    entry = AuditEntry.objects.filter(team=team).latest("id")
    assert (entry.before, entry.after) == (
        {"retention_days": 90, "redaction": "secrets_and_personal"},
        {"retention_days": 30, "redaction": "secrets"},
    )


@pytest.mark.parametrize(("name", "zone"), [("", "UTC"), ("x" * 121, "UTC"), ("Core", "Mars/Olympus"), ("Core", "")])
def test_a_team_has_a_name_and_a_time_zone(team: Team, name: str, zone: str) -> None:
    with pytest.raises(Invalid):
        teams.change_team(team, name=name, time_zone=zone, actor=SYSTEM)


def test_limits_of_teams_and_members_hold(team: Team, bob: User, settings: Settings) -> None:
    settings.LIMITS = {**settings.LIMITS, "teams_per_organization": 1, "members_per_team": 1}
    with pytest.raises(Invalid, match="at most 1 teams"):
        teams.create_team(team.organization, "Another", actor=SYSTEM)
    with pytest.raises(Invalid, match="at most 1 members"):
        teams.add_member(team, "new@example.org", "viewer", actor=SYSTEM)
