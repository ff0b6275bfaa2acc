"""Who sees what: the only place that says so.

Every view begins with one of these. What a person has no part in is "not found"; what their role does not allow is
refused with the names of those who can grant it.
"""

from __future__ import annotations

from typing import cast

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest

from tracking import teams
from tracking.audit import Actor
from tracking.errors import NotFound
from tracking.models import Team, User
from tracking.teams import Role, Seat

_CHOSEN = "team"  # in the session: the slug last chosen
_WHAT = {
    Role.MEMBER: "Only members of {team} can do this.",
    Role.ADMIN: "Only admins of {team} can do this.",
    Role.OWNER: "Only owners of {organization} can do this.",
    Role.OPERATOR: "Only operators of this installation can do this.",
}


def team_for(request: HttpRequest) -> Team:
    """The team whose page this is: ``?team=`` when given, else the one chosen last, else the person's first."""
    return seat_for(request).team


def member_team_for(request: HttpRequest) -> Team:
    return seat_for(request, Role.MEMBER).team


def admin_team_for(request: HttpRequest) -> Team:
    return seat_for(request, Role.ADMIN).team


def owner_team_for(request: HttpRequest) -> Team:
    return seat_for(request, Role.OWNER).team


def seat_for(request: HttpRequest, needed: Role = Role.VIEWER) -> Seat:
    """The person's seat in the team of this request.

    Raises Http404 for a team that is not theirs, PermissionDenied when their role is too low or they have no team.
    """
    seat = getattr(request, "wflo_seat", None)
    if seat is None:
        seat = _seat(request)
        request.wflo_seat = seat  # type: ignore[attr-defined]
    if seat.role < needed:
        raise PermissionDenied(_refusal(seat, needed))
    return seat


def may(request: HttpRequest, needed: Role) -> bool:
    """Whether to show what only such a role can use. The view that does it asks again."""
    return seat_for(request).role >= needed


def teams_of(request: HttpRequest) -> list[Seat]:
    """The team switcher's list."""
    return teams.seats_of(person(request))


def person(request: HttpRequest) -> User:
    """Who is signed in; the middleware lets nobody else reach a page."""
    return cast(User, request.user)


def actor(request: HttpRequest) -> Actor:
    """The person as the audit log names them."""
    return Actor.of(person(request), request_id=request_id(request))


def request_id(request: HttpRequest) -> str:
    """What the answer's X-Request-Id says, for people to quote."""
    return str(getattr(request, "id", ""))


def _seat(request: HttpRequest) -> Seat:
    user = person(request)
    asked = request.GET.get("team")
    if asked:
        try:
            seat = teams.seat_of(user, asked)
        except NotFound as error:
            raise Http404(error.message) from error
        if request.session.get(_CHOSEN) != asked:
            request.session[_CHOSEN] = asked
        return seat
    chosen = request.session.get(_CHOSEN)
    if chosen:
        try:
            return teams.seat_of(user, chosen)
        except NotFound:  # left the team since, or it is gone
            del request.session[_CHOSEN]
    first = teams.first_seat_of(user)
    if first is None:
        raise PermissionDenied("You are in no team yet. Ask an admin of a team to add you.")
    return first


def _refusal(seat: Seat, needed: Role) -> str:
    what = _WHAT[needed].format(team=seat.team.name, organization=seat.team.organization.name)
    names = teams.who_can_grant(seat.team, needed)
    if not names:
        return what
    people = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
    return f"{what} You are {_a(seat.role)}. Ask {people}."


def _a(role: Role) -> str:
    return f"an {role.word}" if role.word[0] in "ao" else f"a {role.word}"
