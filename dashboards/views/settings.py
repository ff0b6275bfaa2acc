"""Settings: who is in the team, and what the team is called."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from dashboards.access import actor, admin_team_for, may, owner_team_for, person, seat_for
from dashboards.forms import ROLE_NOTES, MemberForm, OwnerForm, RoleForm, TeamForm
from dashboards.sign_in import sign_in_link
from tracking import audit, teams
from tracking.errors import Invalid
from tracking.models import User
from tracking.teams import Role


@require_GET
def index(request: HttpRequest) -> HttpResponse:
    seat_for(request)
    return redirect("settings_members")


@require_GET
def members(request: HttpRequest) -> HttpResponse:
    return _members(request)


@require_POST
def add_member(request: HttpRequest) -> HttpResponse:
    """Shows the sign-in link of a new account once, in this very answer."""
    team = admin_team_for(request)
    form = MemberForm.of(request)
    if not form.is_valid():
        return _members(request, form=form)
    try:
        membership, is_new = teams.add_member(
            team,
            form.cleaned_data["email"],
            form.cleaned_data["role"],
            name=form.cleaned_data["name"],
            actor=actor(request),
        )
    except Invalid as error:
        form.refuse(error)
        return _members(request, form=form)
    if not is_new:
        return redirect("settings_members")
    return _members(request, link_for=membership.user)


@require_POST
def change_role(request: HttpRequest, membership_id: int) -> HttpResponse:
    team = admin_team_for(request)
    membership = teams.member_of(team, membership_id)
    form = RoleForm.of(request)
    if not form.is_valid():
        raise Invalid("There is no such role.", field="role")
    try:
        teams.change_role(membership, form.cleaned_data["role"], actor=actor(request))
    except Invalid as error:
        return _members(request, problem=error.message)
    return redirect("settings_members")


@require_POST
def remove_member(request: HttpRequest, membership_id: int) -> HttpResponse:
    team = admin_team_for(request)
    membership = teams.member_of(team, membership_id)
    try:
        teams.remove_member(membership, actor=actor(request))
    except Invalid as error:
        return _members(request, problem=error.message)
    return redirect("settings" if membership.user_id == person(request).pk else "settings_members")


@require_POST
def make_link(request: HttpRequest, membership_id: int) -> HttpResponse:
    """A new sign-in link, for who lost their password; the old password works until the link is used."""
    team = admin_team_for(request)
    user = teams.member_of(team, membership_id).user
    teams.demand_may_reset(person(request), user)
    audit.record(actor(request), team, "member.make_link", "member", user.pk, after={"email": user.email})
    return _members(request, link_for=user)


@require_POST
def add_owner(request: HttpRequest) -> HttpResponse:
    team = owner_team_for(request)
    form = OwnerForm.of(request, auto_id="owner_%s")
    if not form.is_valid():
        return _members(request, owner_form=form)
    try:
        teams.add_owner(team, form.cleaned_data["email"], actor=actor(request))
    except Invalid as error:
        form.refuse(error)
        return _members(request, owner_form=form)
    return redirect("settings_members")


@require_POST
def remove_owner(request: HttpRequest, user_id: int) -> HttpResponse:
    team = owner_team_for(request)
    try:
        teams.remove_owner(team, user_id, actor=actor(request))
    except Invalid as error:
        return _members(request, problem=error.message)
    return redirect("settings_members")


@require_GET
def team(request: HttpRequest) -> HttpResponse:
    return _team(request)


@require_POST
def change_team(request: HttpRequest) -> HttpResponse:
    team = admin_team_for(request)
    form = TeamForm.of(request)
    if not form.is_valid():
        return _team(request, form=form)
    try:
        teams.change_team(
            team,
            name=form.cleaned_data["name"],
            time_zone=form.cleaned_data["time_zone"],
            actor=actor(request),
        )
    except Invalid as error:
        form.refuse(error)
        return _team(request, form=form)
    return redirect("settings_team")


@require_POST
def create_team(request: HttpRequest) -> HttpResponse:
    """Another team of the same organization; whoever makes it is its first admin."""
    organization = owner_team_for(request).organization
    form = TeamForm.of(request, auto_id="new_%s")
    if not form.is_valid():
        return _team(request, new_form=form)
    try:
        made = teams.create_team(
            organization,
            form.cleaned_data["name"],
            time_zone=form.cleaned_data["time_zone"],
            actor=actor(request),
        )
    except Invalid as error:
        form.refuse(error)
        return _team(request, new_form=form)
    return redirect(f"/settings/members?team={made.slug}")


def _members(
    request: HttpRequest,
    *,
    form: MemberForm | None = None,
    owner_form: OwnerForm | None = None,
    link_for: User | None = None,
    problem: str = "",
) -> HttpResponse:
    seat = seat_for(request)
    is_wrong = form is not None or owner_form is not None or bool(problem)
    context = {
        "page": "members",
        "team": seat.team,
        "members": teams.members_of(seat.team),
        "owners": teams.owners_of(seat.team),
        "roles": ROLE_NOTES,
        "form": form or MemberForm(),
        "owner_form": owner_form or OwnerForm(auto_id="owner_%s"),
        "link": sign_in_link(link_for) if link_for else "",
        "link_for": link_for,
        "problem": problem,
        "can_change": may(request, Role.ADMIN),
        "can_name_owners": may(request, Role.OWNER),
    }
    return _private(render(request, "dashboards/settings_members.html", context, status=400 if is_wrong else 200))


def _team(request: HttpRequest, *, form: TeamForm | None = None, new_form: TeamForm | None = None) -> HttpResponse:
    seat = seat_for(request)
    context = {
        "page": "team",
        "team": seat.team,
        "form": form or TeamForm.showing(seat.team),
        "new_form": new_form or TeamForm(auto_id="new_%s"),
        "can_change": may(request, Role.ADMIN),
        "can_create": may(request, Role.OWNER),
    }
    return _private(render(request, "dashboards/settings_team.html", context, status=400 if form or new_form else 200))


def _private(response: HttpResponse) -> HttpResponse:
    """What is shown once must not come back from a browser's cache."""
    response.headers["Cache-Control"] = "no-store"
    return response
