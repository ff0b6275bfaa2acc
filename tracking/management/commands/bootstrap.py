"""First start: what a new installation needs to be used, made once."""

from __future__ import annotations

import json
import secrets
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email
from django.db import connection, transaction

from tracking import audit, keys, pricing, retention, teams
from tracking.audit import SYSTEM
from tracking.errors import Invalid
from tracking.models import ApiKey, Organization, Team, User

_LOCK = 0x424F4F54  # "BOOT": two starts at once make one of each


class Command(BaseCommand):
    help = "Make the first team, admin and API key, partitions and prices. Prints as JSON what it made; safe to repeat."

    def handle(self, *args: Any, **options: Any) -> None:
        made: dict[str, Any] = {}
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
                team = _first_team(made)
                _first_admin(team, made)
                _first_key(team, made)
        except Invalid as error:
            raise CommandError(error.message) from error
        retention.make_partitions()
        loaded = pricing.load_bundled()
        if loaded.added or loaded.changed:
            made["prices"] = loaded.added + loaded.changed
        self.stdout.write(json.dumps(made))


def _first_team(made: dict[str, Any]) -> Team:
    team = Team.objects.filter(is_demo=False).order_by("id").first()
    if team is not None:
        return team
    name = settings.WFLO_TEAM
    organization = Organization.objects.order_by("id").first()
    team = teams.create_team(organization or teams.create_organization(name, actor=SYSTEM), name, actor=SYSTEM)
    made["team"] = team.name
    return team


def _first_admin(team: Team, made: dict[str, Any]) -> None:
    """An operator who also owns the organization. Once there is an operator, none is made again."""
    if User.objects.filter(is_superuser=True).exists():
        return
    email = settings.WFLO_ADMIN_EMAIL.lower()
    try:
        validate_email(email)
    except ValidationError:
        raise Invalid(f"WFLO_ADMIN_EMAIL is {email!r}: give a mail address, such as admin@example.org.") from None
    password = settings.WFLO_ADMIN_PASSWORD or secrets.token_urlsafe(12)
    user = User.objects.filter(email=email).first() or teams.add_member(team, email, "admin", actor=SYSTEM)[0].user
    user.is_superuser = user.is_staff = True
    user.set_password(password)
    user.save(update_fields=["is_superuser", "is_staff", "password"])
    team.organization.owners.add(user)
    audit.record(SYSTEM, None, "operator.make", "person", user.pk, after={"email": email})
    made["admin_email"] = email
    made["admin_password"] = password


def _first_key(team: Team, made: dict[str, Any]) -> None:
    """WFLO_API_KEY whenever it is new; else one with all scopes when the team never had any."""
    if settings.WFLO_API_KEY:
        if keys.import_key(team, settings.WFLO_API_KEY, name="WFLO_API_KEY", actor=SYSTEM, is_operator=True):
            made["api_key"] = settings.WFLO_API_KEY
    elif not ApiKey.objects.filter(team=team).exists():
        _, made["api_key"] = keys.mint(team, name="first key", scopes=keys.ALL_SCOPES, actor=SYSTEM, is_operator=True)
