"""What tests begin with: plain functions that make rows through the product's own verbs."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from django.core.management import CommandError, call_command
from django.test import Client

from tracking import keys, teams
from tracking.audit import SYSTEM
from tracking.models import ApiKey, Membership, Organization, Run, Team, User

PASSWORD = "a long enough password"


def make_team(name: str = "Core", *, organization: Organization | None = None, time_zone: str = "UTC") -> Team:
    organization = organization or teams.create_organization(f"{name} Ltd", actor=SYSTEM)
    return teams.create_team(organization, name, time_zone=time_zone, actor=SYSTEM)


def make_user(
    name: str, *, team: Team | None = None, role: str = "member", password: str | None = None, is_operator: bool = False
) -> User:
    """Their address is name@example.org. Without a password they can only be signed in by ``signed_in``."""
    user = User.objects.create_user(
        f"{name.lower()}@example.org", password, name=name, is_superuser=is_operator, is_staff=is_operator
    )
    if team is not None:
        Membership.objects.create(team=team, user=user, role=role)
    return user


def make_key(
    team: Team,
    *,
    scopes: Iterable[str] = keys.ALL_SCOPES,
    name: str = "test key",
    expires_at: datetime | None = None,
    allowed_models: Iterable[str] = (),
) -> tuple[ApiKey, str]:
    """The key and its text."""
    return keys.mint(team, name=name, scopes=scopes, expires_at=expires_at, allowed_models=allowed_models, actor=SYSTEM)


def make_run(team: Team, external_id: str, **fields: Any) -> Run:
    """One that runs, with a single step and nothing spent yet; for tests of pages about runs rather than of spans."""
    now = datetime.now(UTC)
    fields = {
        "status": Run.Status.RUNNING,
        "origin": Run.Origin.SDK,
        "name": external_id,
        "title": external_id,
        **fields,
    }
    return Run.objects.create(
        team=team, id=uuid4(), trace_id=uuid4(), external_id=external_id, day=now.date(), title_rank=0, output="",
        output_rank=0, started_at=now, last_seen_at=now, span_count=1, cost_usd=0, **fields,
    )  # fmt: skip


def empty_database() -> None:
    """After tests whose rows other processes wrote, so that no rollback takes them. Sequences go on: tables the flush
    does not know (spans, usage, entries) keep rows, and a team id given twice would find them as its own."""
    for attempt in range(5):
        try:
            call_command("flush", verbosity=0, interactive=False, reset_sequences=False)
            return
        except CommandError:  # a server that still runs reads several tables while they are locked one by one
            if attempt == 4:
                raise
            time.sleep(0.2)


def signed_in(user: User, *, csrf: bool = False) -> Client:
    """A browser in which the person is signed in; with ``csrf`` it is refused without a token, as real ones are."""
    client = Client(enforce_csrf_checks=csrf)
    client.force_login(user)
    return client
