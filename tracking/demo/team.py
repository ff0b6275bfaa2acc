"""The team "Demo": made, filled through the front door, and removed without a trace but its audit entries."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.apps import apps
from django.conf import settings
from django.db import connection, transaction

from tracking import audit, keys, teams
from tracking.audit import Actor
from tracking.demo import jobs, recorded, story, wire
from tracking.demo.sender import PROTOBUF, Sent, send
from tracking.errors import Invalid
from tracking.models import ApiKey, AuditEntry, Organization, Team, User
from tracking.usage.fold import hold_folding

NAME = "Demo"
SEED = 2026
KEY_NAME = "sample data"
WITHOUT_MODEL = ("tracking_ledger_seal", "tracking_ledger_sum", "tracking_ledger_unsealed")


def demo_team(organization: Organization) -> Team | None:
    """The organization's demo team, if it has one."""
    return organization.teams.filter(is_demo=True).order_by("id").first()


def begin(organization: Organization, *, actor: Actor) -> Team:
    """Make the demo team, with the person who asked as its admin. Raises Invalid when there is one already."""
    with transaction.atomic():
        Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
        if demo_team(organization) is not None:
            raise Invalid("There is a demo team already. Remove it first.")
        team = teams.create_team(organization, NAME, actor=actor, is_demo=True)
        person = User.objects.filter(pk=actor.user_id).first() if actor.user_id else None
        if person is not None:
            teams.add_member(team, person.email, "admin", actor=actor)
    return team


def fill(team: Team, url: str, *, actor: Actor, told: Callable[[Sent], None] = lambda sent: None) -> Sent:
    """Send three weeks of runs and what real frameworks sent to ``url``, with a key of their own that ends with them; then some
    agents have work.

    The story ends at the moment the team was made: sent again, by a task that ran twice, it changes nothing.
    Raises Invalid or Unavailable when the server does not take it.
    """
    _demands_demo(team)
    key, text = keys.mint(team, name=KEY_NAME, scopes=[ApiKey.Scope.INGEST], actor=actor)
    try:
        runs = story.runs(seed=SEED, now=team.created_at)
        sent = send(url, text, wire.requests(runs), told=told)
        real = send(url, text, recorded.bodies(team.created_at), content_type=PROTOBUF)
        jobs.begin(team, actor=actor)
        return Sent(sent.requests + real.requests, sent.bytes + real.bytes, sent.rejected_spans + real.rejected_spans)
    finally:
        keys.revoke(key, actor=actor)


def remove(team: Team, *, actor: Actor) -> int:
    """Delete the demo team with every row that is its own; how many rows there were. Raises Invalid for other teams.

    Its keys and jobs end first, and everybody has forgotten the keys before rows are deleted, so that nothing comes in behind.
    """
    _demands_demo(team)
    jobs.end(team, actor=actor)
    for key in ApiKey.objects.filter(team=team, revoked_at=None):
        keys.revoke(key, actor=actor)
    time.sleep(settings.LIMITS["key_cache_seconds"])
    with transaction.atomic(), connection.cursor() as cursor:
        hold_folding(cursor)
        Team.objects.select_for_update().get(pk=team.pk)
        rows = 0
        for table in _tables():
            cursor.execute(f"DELETE FROM {table} WHERE team_id = %s", [team.pk])
            rows += cursor.rowcount
        cursor.execute("DELETE FROM tracking_team WHERE id = %s", [team.pk])
        audit.record(actor, None, "demo.remove", "team", team.pk, before={"name": team.name, "rows": rows})
    return rows


def _tables() -> list[str]:
    """Every table with a team's rows but the audit log, which nothing is ever taken from."""
    models = [model for model in apps.get_app_config("tracking").get_models() if model is not AuditEntry]
    named = [m._meta.db_table for m in models if any(f.column == "team_id" for f in m._meta.concrete_fields)]
    return [*named, *WITHOUT_MODEL]


def _demands_demo(team: Team) -> None:
    if not team.is_demo:
        raise Invalid(f"{team.name} is no demo team.")
