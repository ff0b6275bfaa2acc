"""Where a team is told: made, changed, muted, tried and removed by people, each with its audit entry."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction

from tracking import audit
from tracking.alerts import addresses
from tracking.audit import Actor
from tracking.errors import Invalid, NotFound
from tracking.models import Alert, Delivery, Destination, Team
from tracking.sealed import seal, unseal
from wflo.webhooks import new_secret

Kind = Destination.Kind
SEVERITIES: tuple[str, ...] = tuple(Alert.Severity.values)  # mildest first


def destinations_of(team: Team) -> list[Destination]:
    """Oldest first."""
    found = Destination.objects.filter(team=team).order_by("created_at", "pk")
    return list(found[: settings.LIMITS["destinations_per_team"]])


def destination_of(team: Team, destination_id: object) -> Destination:
    """Raises NotFound, for another team's too."""
    try:
        wanted = UUID(str(destination_id))
    except ValueError:
        raise NotFound("This team has no such destination.") from None
    destination = Destination.objects.select_related("team").filter(team=team, pk=wanted).first()
    if destination is None:
        raise NotFound("This team has no such destination.")
    return destination


def create(
    team: Team,
    *,
    name: str,
    kind: str,
    address: str,
    actor: Actor,
    alert_kinds: Iterable[str] | None = None,
    severity_least: str = Alert.Severity.LOW,
    events: Iterable[str] = (),
) -> tuple[Destination, str]:
    """A destination, and the secret that a webhook's requests are signed with, never to be had again ('' for others).

    ``alert_kinds`` None: all. Raises Invalid naming the field.
    """
    if kind not in Kind.values:
        raise Invalid(f"Give a kind out of: {', '.join(Kind.values)}.", field="kind")
    destination = Destination(team=team, kind=kind, created_by_id=actor.user_id)
    _set(destination, name, alert_kinds, severity_least, events)
    _address(destination, address)
    secret = new_secret() if kind == Kind.WEBHOOK else ""
    destination.signing = seal(secret) if secret else None
    with transaction.atomic():
        Team.objects.select_for_update(no_key=True).get(pk=team.pk)  # two at once must not pass the limit
        if Destination.objects.filter(team=team).count() >= settings.LIMITS["destinations_per_team"]:
            raise Invalid(f"A team has at most {settings.LIMITS['destinations_per_team']} destinations.")
        destination.save(force_insert=True)
        audit.record(actor, team, "destination.create", "destination", destination.pk, after=facts(destination))
    return destination, secret


def change(
    destination: Destination,
    *,
    name: str,
    alert_kinds: Iterable[str] | None,
    severity_least: str,
    events: Iterable[str],
    actor: Actor,
    address: str | None = None,
) -> Destination:
    """``address`` None: as it is. Raises Invalid naming the field."""
    before = facts(destination)
    _set(destination, name, alert_kinds, severity_least, events)
    fields = ["name", "alert_kinds", "severity_least", "events"]
    if address is not None:
        _address(destination, address)
        fields += ["address", "shown"]
    with transaction.atomic():
        destination.save(update_fields=fields)
        after = {**facts(destination), "has_new_address": address is not None}
        audit.record(
            actor, destination.team, "destination.change", "destination", destination.pk, before=before, after=after
        )
    return destination


def mute(destination: Destination, until: datetime | None, *, actor: Actor) -> None:
    """Nothing is sent there until then, nor afterwards of what came meanwhile. None: it hears again."""
    now = datetime.now(UTC)
    if until is not None and until <= now:
        raise Invalid("Give a time to come.", field="until")
    with transaction.atomic():
        Destination.objects.filter(pk=destination.pk).update(muted_until=until)
        if until is not None:
            waiting = Delivery.objects.filter(destination=destination, state=Delivery.State.WAITING)
            waiting.update(state=Delivery.State.GIVEN_UP, error="The destination was muted.", finished_at=now)
        before, after = {"muted_until": destination.muted_until}, {"muted_until": until, "name": destination.name}
        audit.record(
            actor, destination.team, "destination.mute", "destination", destination.pk, before=before, after=after
        )
    destination.muted_until = until


def new_signing_secret(destination: Destination, *, actor: Actor) -> str:
    """Another secret from now on, never to be had again. Raises Invalid for what signs nothing."""
    if destination.kind != Kind.WEBHOOK:
        raise Invalid("Only webhooks are signed.")
    secret = new_secret()
    with transaction.atomic():
        Destination.objects.filter(pk=destination.pk).update(signing=seal(secret))
        named = {"name": destination.name}
        audit.record(actor, destination.team, "destination.sign_anew", "destination", destination.pk, after=named)
    return secret


def remove(destination: Destination, *, actor: Actor) -> None:
    """With what waits for it."""
    with transaction.atomic():
        key = destination.pk
        audit.record(actor, destination.team, "destination.remove", "destination", key, before=facts(destination))
        destination.delete()


def address_of(destination: Destination) -> str:
    """Raises tracking.sealed.CannotUnseal."""
    return unseal(destination.address)


def wants(destination: Destination, kind: str, severity: str) -> bool:
    """Whether alerts of that kind and severity are told there."""
    is_grave_enough = SEVERITIES.index(severity) >= SEVERITIES.index(destination.severity_least)
    return is_grave_enough and (destination.alert_kinds is None or kind in destination.alert_kinds)


def facts(destination: Destination) -> dict[str, Any]:
    """What the audit log keeps of it."""
    return {
        "name": destination.name,
        "kind": destination.kind,
        "shown": destination.shown,
        "alert_kinds": destination.alert_kinds,
        "severity_least": destination.severity_least,
        "events": destination.events,
    }


def _set(
    destination: Destination, name: str, alert_kinds: Iterable[str] | None, severity_least: str, events: Iterable[str]
) -> None:
    destination.name = " ".join(name.split())
    destination.alert_kinds = None if alert_kinds is None else _among(alert_kinds, Alert.Kind.values, "alert_kinds")
    destination.events = _among(events, Destination.Event.values, "events")
    if severity_least not in SEVERITIES:
        raise Invalid(f"Give a severity out of: {', '.join(SEVERITIES)}.", field="severity_least")
    destination.severity_least = severity_least
    if destination.alert_kinds == [] and not destination.events:
        raise Invalid("Choose at least one kind of alert, or an event.", field="alert_kinds")
    try:
        destination.clean_fields(exclude=["address", "shown", "signing", "team", "created_by", "alert_kinds", "events"])
    except ValidationError as error:
        message = "Give the destination a name of at most 120 characters, in one line."
        raise Invalid(message, field="name") from error


def _among(given: Iterable[str], known: list[str], field: str) -> list[str]:
    wanted = set(given)
    if not wanted <= set(known):
        raise Invalid(f"Give {field} out of: {', '.join(known)}.", field=field)
    return [value for value in known if value in wanted]


def _address(destination: Destination, text: str) -> None:
    checked = addresses.check(destination.kind, text)
    destination.address, destination.shown = seal(checked.address), checked.shown
