"""People and teams: who sits where with which role, and every change of it.

Each verb checks the values, changes the rows and writes the audit entry in one transaction. Who may call a verb is
decided at the doors (``dashboards.access``, key scopes); the rules here are those that must hold whoever calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Model
from django.utils.text import slugify

from tracking import audit
from tracking.audit import Actor
from tracking.errors import Invalid, NotAllowed, NotFound
from tracking.ledger import budgets
from tracking.ledger.budgets import Hand
from tracking.models import Membership, Organization, Team, User
from tracking.sql import statements
from wflo.loops import GATEWAY


class Role(IntEnum):
    """What a person may do in a team, each including those below."""

    VIEWER = 1
    MEMBER = 2
    ADMIN = 3
    OWNER = 4  # of the organization: all its teams
    OPERATOR = 5  # of the installation: all teams

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Seat:
    """A team as one person has it."""

    team: Team
    role: Role


# --- who sits where -------------------------------------------------------------------------------------------------


def seats_of(user: User) -> list[Seat]:
    """The person's teams by name, with the highest role in each; at most LIMITS["teams_listed"]."""
    return _seats(user, limit=settings.LIMITS["teams_listed"])


def seat_of(user: User, slug: str) -> Seat:
    """The person's seat in one team. Raises NotFound, for a team that is not theirs too."""
    found = _seats(user, slug=slug, limit=1)
    if not found:
        raise NotFound("You are in no team of that name.")
    return found[0]


def first_seat_of(user: User) -> Seat | None:
    """Where a person lands: their own team before the ones they only oversee; None when they are in no team."""
    return next(iter(_seats(user, limit=1, own_first=True)), None)


def _seats(user: User, *, limit: int, slug: str | None = None, own_first: bool = False) -> list[Seat]:
    asked = {
        "user": user.pk,
        "is_operator": user.is_superuser,
        "slug": slug,
        "own_first": own_first,
        "limit": limit,
    }
    return [_seat(user, team) for team in Team.objects.raw(statements("teams")["seats"], asked)]


def _seat(user: User, team: Any) -> Seat:
    if user.is_superuser:
        return Seat(team, Role.OPERATOR)
    return Seat(team, Role.OWNER if team.is_owned else Role[team.own_role.upper()])


def who_can_grant(team: Team, needed: Role) -> list[str]:
    """Names of people who can give the role, for the page that says it is missing."""
    if needed <= Role.ADMIN:
        admins = User.objects.filter(memberships__team=team, memberships__role=Membership.Role.ADMIN, is_active=True)
        names = [str(user) for user in admins.order_by("name", "email")[:5]]
        if names:
            return names
    if needed <= Role.OWNER:
        owners = team.organization.owners.filter(is_active=True).order_by("name", "email")[:5]
        if owners:
            return [str(user) for user in owners]
    operators = User.objects.filter(is_superuser=True, is_active=True).order_by("name", "email")[:5]
    return [str(user) for user in operators]


def members_of(team: Team) -> list[Membership]:
    """Everyone in the team, by name."""
    return list(team.memberships.select_related("user").order_by("user__name", "user__email"))


def owners_of(team: Team) -> list[User]:
    return list(team.organization.owners.order_by("name", "email"))


def member_of(team: Team, membership_id: int) -> Membership:
    """Raises NotFound, for a membership of another team too."""
    membership = team.memberships.select_related("user", "team").filter(pk=membership_id).first()
    if membership is None:
        raise NotFound("This team has no such member.")
    return membership


# --- teams ----------------------------------------------------------------------------------------------------------


def create_organization(
    name: str, *, actor: Actor, slug: str = "", metadata: Mapping[str, Any] | None = None
) -> Organization:
    """Under a short name that is free, or under ``slug``. Raises Invalid naming the field."""
    organization = Organization(
        name=_one_line(name), slug=slug or _free_slug(Organization, name), metadata=dict(metadata or {})
    )
    with transaction.atomic():
        _save(organization)
        audit.record(
            actor,
            None,
            "organization.create",
            "organization",
            organization.pk,
            after={"name": organization.name},
        )
    return organization


def create_team(
    organization: Organization,
    name: str,
    *,
    actor: Actor,
    time_zone: str = "UTC",
    is_demo: bool = False,
    slug: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> Team:
    """Under a short name that is free, or under ``slug``.

    Raises Invalid naming the field; also when the organization has LIMITS["teams_per_organization"].
    """
    with transaction.atomic():
        Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
        if organization.teams.count() >= settings.LIMITS["teams_per_organization"]:
            raise Invalid(
                f"An organization has at most {settings.LIMITS['teams_per_organization']} teams.", field="name"
            )
        team = Team(
            organization=organization,
            name=_one_line(name),
            slug=slug or _free_slug(Team, name),
            time_zone=time_zone,
            is_demo=is_demo,
            metadata=dict(metadata or {}),
        )
        _save(team)
        audit.record(actor, team, "team.create", "team", team.pk, after={"name": team.name})
    return team


def change_team(team: Team, *, name: str, time_zone: str, actor: Actor) -> None:
    """With another time zone, budgets' days, weeks and months begin anew, with what was used in them."""
    with transaction.atomic():
        moves = Team.objects.select_for_update(no_key=True).get(pk=team.pk).time_zone != time_zone
        if moves:
            budgets.lock_alone([team.pk])
        _change(team, {"name": _one_line(name), "time_zone": time_zone}, "team.change", actor)
        if moves:
            budgets.reopen(team, Hand(actor))


def set_status(team: Team, status: Team.Status, *, actor: Actor) -> None:
    """Whether calls are made for the team. Other processes know within LIMITS["key_cache_seconds"]."""
    _change(team, {"status": Team.Status(status)}, "team.status", actor)


def describe(team: Team, *, name: str, metadata: Mapping[str, Any], actor: Actor) -> None:
    """Its name, and what whoever made it says of it. Raises Invalid naming the field."""
    _change(team, {"name": _one_line(name), "metadata": dict(metadata)}, "team.change", actor)


def set_limits(
    team: Team,
    *,
    loop_action: str,
    loop_policy: Mapping[str, Any],
    guard: str,
    run_steps_max: int | None,
    run_minutes_max: int | None,
    run_idle_minutes_max: int | None,
    rpm_max: int | None,
    actor: Actor,
) -> None:
    """What is done about loops, and how much a run and the team may do (None: any). Raises Invalid naming the field."""
    of_workflows = loop_policy.get("workflows", {})
    own = {name: value for name, value in loop_policy.items() if name not in ("workflows", "spans")}
    try:
        for changes in (own, *(of_workflows.values() if isinstance(of_workflows, dict) else ())):
            GATEWAY.changed(own).changed(changes)
    except (ValueError, AttributeError) as error:
        raise Invalid(f"The loop policy cannot be kept to: {error}.", field="loop_policy") from None
    values = {
        "loop_action": loop_action, "loop_policy": dict(loop_policy), "guard": guard, "run_steps_max": run_steps_max,
        "run_minutes_max": run_minutes_max, "run_idle_minutes_max": run_idle_minutes_max, "rpm_max": rpm_max,
    }  # fmt: skip
    _change(team, values, "limits.change", actor)


def set_retention(
    team: Team,
    *,
    retention_days: int,
    redaction: str,
    spans_per_day_max: int | None,
    actor: Actor,
) -> None:
    """How long runs are kept, what is struck out of them, and how many spans a day are taken in (None: any number)."""
    values = {"retention_days": retention_days, "redaction": redaction, "spans_per_day_max": spans_per_day_max}
    _change(team, values, "retention.change", actor)


def _change(team: Team, values: dict[str, Any], action: str, actor: Actor) -> None:
    with transaction.atomic():
        fresh = Team.objects.select_for_update(no_key=True).get(pk=team.pk)
        before = {field: getattr(fresh, field) for field in values}
        changed = [field for field in values if values[field] != before[field]]
        if not changed:
            return
        for field in values:
            setattr(fresh, field, values[field])
            setattr(team, field, values[field])
        _save(fresh, update_fields=changed)
        audit.record(
            actor,
            team,
            action,
            "team",
            team.pk,
            before={field: before[field] for field in changed},
            after={field: values[field] for field in changed},
        )


# --- people ---------------------------------------------------------------------------------------------------------


def add_member(team: Team, email: str, role: str, *, actor: Actor, name: str = "") -> tuple[Membership, bool]:
    """Seat a person in the team; make their account when there is none. The flag says whether it was made.

    A new account has no password: its owner chooses one through a sign-in link. Raises Invalid naming the field.
    """
    email = email.strip().lower()
    with transaction.atomic():
        Team.objects.select_for_update(no_key=True).get(pk=team.pk)
        if team.memberships.count() >= settings.LIMITS["members_per_team"]:
            raise Invalid(f"A team has at most {settings.LIMITS['members_per_team']} members.", field="email")
        user = User.objects.filter(email=email).first()
        is_new = user is None
        if user is None:
            user = User(email=email, name=_one_line(name))
            user.set_unusable_password()
            _save(user, exclude=["password"])
        elif team.memberships.filter(user=user).exists():
            raise Invalid(f"{email} is in this team already.", field="email")
        membership = Membership(team=team, user=user, role=role)
        _save(membership)
        audit.record(
            actor,
            team,
            "member.add",
            "member",
            user.pk,
            after={"email": email, "role": role},
        )
    return membership, is_new


def change_role(membership: Membership, role: str, *, actor: Actor) -> None:
    """Raises Invalid when the team would be left without anyone to run it."""
    with transaction.atomic():
        fresh = _locked(membership)
        before = fresh.role
        if before == role:
            return
        fresh.role = role
        _save(fresh, update_fields=["role"])
        _someone_runs(fresh.team)
        audit.record(
            actor,
            fresh.team,
            "member.change_role",
            "member",
            fresh.user_id,
            before={"email": fresh.user.email, "role": before},
            after={"email": fresh.user.email, "role": role},
        )


def remove_member(membership: Membership, *, actor: Actor) -> None:
    """End a person's seat; their account stays. Raises Invalid when nobody would be left to run the team."""
    with transaction.atomic():
        fresh = _locked(membership)
        audit.record(
            actor,
            fresh.team,
            "member.remove",
            "member",
            fresh.user_id,
            before={"email": fresh.user.email, "role": fresh.role},
        )
        fresh.delete()
        _someone_runs(fresh.team)


def add_owner(team: Team, email: str, *, actor: Actor) -> User:
    """Make a person who has an account an owner of the team's organization."""
    user = User.objects.filter(email=email.strip().lower(), is_active=True).first()
    if user is None or not Membership.objects.filter(user=user, team__organization=team.organization_id).exists():
        raise Invalid("Nobody in the organization's teams has that address. Add them to a team first.", field="email")
    with transaction.atomic():
        team.organization.owners.add(user)
        after = {"email": user.email, "organization": team.organization.name}
        audit.record(actor, team, "owner.add", "owner", user.pk, after=after)
    return user


def remove_owner(team: Team, user_id: int, *, actor: Actor) -> None:
    with transaction.atomic():
        organization = Organization.objects.select_for_update(no_key=True).get(pk=team.organization_id)
        user = organization.owners.filter(pk=user_id).first()
        if user is None:
            raise NotFound("The organization has no such owner.")
        if organization.owners.count() == 1:
            raise Invalid("This is the last owner. Name another one first.")
        organization.owners.remove(user)
        before = {"email": user.email, "organization": organization.name}
        audit.record(actor, team, "owner.remove", "owner", user.pk, before=before)


def demand_may_reset(actor_user: User, user: User) -> None:
    """Whoever holds a sign-in link is that person: only someone above them in all their teams may make one.

    Raises NotAllowed.
    """
    if actor_user.is_superuser:
        return
    if user.is_superuser or user.owned_organizations.exists():
        raise NotAllowed(f"{user} runs more than this team. Only an operator can make a sign-in link for them.")
    ruled = {seat.team.pk for seat in seats_of(actor_user) if seat.role >= Role.ADMIN}
    seats = set(Membership.objects.filter(user=user).values_list("team_id", flat=True))
    if not seats <= ruled:
        raise NotAllowed(f"{user} is also in teams you do not run. Only an operator can make a sign-in link for them.")


def change_name(user: User, name: str, *, actor: Actor) -> None:
    """A person's own name, as others see it."""
    before, user.name = user.name, _one_line(name)
    if before == user.name:
        return
    with transaction.atomic():
        _save(user, update_fields=["name"])
        audit.record(
            actor,
            None,
            "person.rename",
            "person",
            user.pk,
            before={"name": before},
            after={"name": user.name},
        )


def _locked(membership: Membership) -> Membership:
    Team.objects.select_for_update(no_key=True).get(pk=membership.team_id)  # two admins must not remove each other
    return member_of(membership.team, membership.pk)


def _someone_runs(team: Team) -> None:
    admins = team.memberships.filter(role=Membership.Role.ADMIN, user__is_active=True)
    if not admins.exists() and not team.organization.owners.filter(is_active=True).exists():
        raise Invalid("This is the team's last admin. Make someone else an admin first.")


# --- values ---------------------------------------------------------------------------------------------------------


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _free_slug(model: type[Organization] | type[Team], name: str) -> str:
    stem = slugify(name)[:50] or "team"
    taken = set(model._default_manager.filter(slug__startswith=stem).values_list("slug", flat=True))
    number = 1
    slug = stem
    while slug in taken:
        number += 1
        slug = f"{stem}-{number}"
    return slug


def _save(row: Model, *, update_fields: list[str] | None = None, exclude: list[str] | None = None) -> None:
    """Check as forms do, then write. Raises Invalid naming the first field that is wrong."""
    try:
        row.full_clean(exclude=exclude)
    except ValidationError as error:
        field, sentences = next(iter(error.message_dict.items()))
        raise Invalid(sentences[0], field=field if field != "__all__" else None) from error
    row.save(update_fields=update_fields)
