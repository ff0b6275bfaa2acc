"""Settings: how long data is kept, and the log of who changed what."""

from __future__ import annotations

from datetime import UTC, datetime

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from dashboards.access import actor, admin_team_for, may, seat_for
from dashboards.drop_words import with_words
from dashboards.forms import RetentionForm
from tracking import teams
from tracking.errors import Invalid
from tracking.reports.audit import AuditLine, audit_page, audited_kinds
from tracking.reports.drops import DAYS as DROP_DAYS
from tracking.reports.drops import drops
from tracking.reports.storage import stored_days
from tracking.teams import Role

ACTIONS = {
    "key.make": "made the key",
    "key.import": "took in the key",
    "key.revoke": "revoked the key",
    "key.rotate": "replaced the key",
    "member.add": "added",
    "member.change_role": "changed the role of",
    "member.remove": "removed",
    "member.make_link": "made a sign-in link for",
    "owner.add": "made an owner of",
    "owner.remove": "took ownership from",
    "team.create": "created the team",
    "team.change": "changed the team",
    "retention.change": "changed what is kept",
    "limits.change": "changed the limits",
    "breaker.change": "changed when agents are cut off:",
    "circuit.move": "moved the circuit",
    "circuit.open": "cut off",
    "circuit.allow": "let one call try",
    "circuit.reset": "reset the circuit",
    "approval.decide": "answered the question",
    "team.status": "changed the standing of the team",
    "credits.open": "began credits of",
    "credits.change": "changed the terms of credits of",
    "credits.add": "added credits to",
    "credits.refill": "changed the refill of",
    "run.kill": "stopped the run",
    "run.complete": "ended the run",
    "alert.acknowledge": "acknowledged the alert",
    "alert.resolve": "resolved the alert",
    "alert_rule.set": "set the rule",
    "alert_rule.remove": "took back the rule",
    "destination.create": "made the destination",
    "destination.change": "changed the destination",
    "destination.mute": "muted the destination",
    "destination.sign_anew": "replaced the signing secret of",
    "destination.test": "sent a test to",
    "destination.remove": "removed the destination",
}
_ID_MAX = 2**63 - 1


@require_GET
def retention(request: HttpRequest) -> HttpResponse:
    return _retention(request)


@require_POST
def change_retention(request: HttpRequest) -> HttpResponse:
    team = admin_team_for(request)
    form = RetentionForm.of(request)
    if not form.is_valid():
        return _retention(request, form=form)
    try:
        teams.set_retention(
            team,
            retention_days=form.cleaned_data["retention_days"],
            redaction=form.cleaned_data["redaction"],
            spans_per_day_max=form.cleaned_data["spans_per_day_max"],
            actor=actor(request),
        )
    except Invalid as error:
        form.refuse(error)
        return _retention(request, form=form)
    return redirect("settings_retention")


@require_GET
def audit_log(request: HttpRequest) -> HttpResponse:
    """Admins only: it names people and what they did."""
    team = admin_team_for(request)
    kind = request.GET.get("kind", "")[:60]
    who = request.GET.get("who", "").replace("\0", "")[:200]
    page = audit_page(
        team,
        object_kind=kind.replace("\0", ""),
        actor_name=who,
        older_than=_older_than(request),
        limit=settings.LIMITS["page_rows"],
    )
    context = {
        "page": "audit",
        "team": team,
        "lines": [(line, ACTIONS.get(line.action, line.action), _named(line), _changes(line)) for line in page.lines],
        "older": page.older,
        "kinds": audited_kinds(team),
        "kind": kind,
        "who": who,
    }
    return render(request, "dashboards/settings_audit.html", context)


def _retention(request: HttpRequest, *, form: RetentionForm | None = None) -> HttpResponse:
    seat = seat_for(request)
    days = stored_days() if may(request, Role.OPERATOR) else []
    context = {
        "page": "retention",
        "team": seat.team,
        "form": form or RetentionForm.showing(seat.team),
        "can_change": may(request, Role.ADMIN),
        "days": days,
        "days_bytes": sum(day.size_bytes for day in days),
        "drops": with_words(drops(seat.team, datetime.now(UTC))),
        "drop_days": DROP_DAYS,
    }
    return render(request, "dashboards/settings_retention.html", context, status=400 if form else 200)


def _older_than(request: HttpRequest) -> int | None:
    text = request.GET.get("older", "")
    return int(text) if text.isascii() and text.isdigit() and int(text) <= _ID_MAX else None


def _named(line: AuditLine) -> str:
    """The object by the name people know it by; none when it is the team of this very log."""
    if line.action in ("retention.change", "limits.change", "team.status"):
        return ""
    facts = {**line.before, **line.after}
    return str(facts.get("email") or facts.get("name") or line.object_id)


def _changes(line: AuditLine) -> list[tuple[str, str, str]]:
    """Fields with their value before and after, '' where there was none; without those that only name the object."""
    is_change = bool(line.before) and bool(line.after)
    naming = {"email", "prefix"} if is_change else {"email", "prefix", "name"}
    fields = [field for field in {**line.before, **line.after} if field not in naming]
    changes = [
        (field.replace("_", " "), _words(line.before.get(field)), _words(line.after.get(field))) for field in fields
    ]
    return [change for change in changes if change[1] != change[2]]


def _words(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return "" if value is None else str(value)
