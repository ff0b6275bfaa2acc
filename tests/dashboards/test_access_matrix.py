"""Every address, method and role against tests/data/access_matrix.csv. An address that is not in it fails.

All requests are for the team Core, by its slug or by ids of its objects; the stranger is in another team.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import pytest
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from dashboards.sign_in import sign_in_link
from tests.make import make_key, make_user, signed_in
from tracking.alerts import destinations
from tracking.alerts.rules import set_rule
from tracking.audit import SYSTEM
from tracking.ledger import budgets
from tracking.ledger.budgets import Hand
from tracking.models import Membership, Team, User
from tracking.tools import mcp_servers

MATRIX = Path(__file__).parent.parent / "data" / "access_matrix.csv"
ROLES = ("anonymous", "stranger", "viewer", "member", "admin", "owner", "operator")
LEFT_OUT = ("api/",)  # keys, not people: tests of the API


class Line(NamedTuple):
    method: str
    address: str
    expected: dict[str, int]


def _lines() -> list[Line]:
    with MATRIX.open(newline="") as file:
        return [
            Line(row["method"], row["address"], {role: int(row[role]) for role in ROLES})
            for row in csv.DictReader(file)
        ]


def _addresses(resolver: URLResolver, before: str = "") -> Iterator[str]:
    for entry in resolver.url_patterns:
        address = before + str(entry.pattern)
        if isinstance(entry, URLPattern):
            yield address
        else:
            yield from _addresses(entry, address)


def test_every_address_is_in_the_matrix() -> None:
    known = {line.address for line in _lines()}
    served = {address for address in _addresses(get_resolver()) if not address.startswith(LEFT_OUT)}
    served = {"admin/" if address.startswith("admin/") else address for address in served}
    assert served - known == set(), "say in tests/data/access_matrix.csv who may reach these"
    assert known - served == set(), "these are gone"


@pytest.fixture
def people(team: Team, alice: User, bob: User, charlie: User) -> dict[str, Client]:
    olive = make_user("Olive", team=team, role="viewer")
    team.organization.owners.add(olive)
    return {
        "anonymous": Client(),
        "stranger": signed_in(charlie),
        "viewer": signed_in(make_user("Vera", team=team, role="viewer")),
        "member": signed_in(bob),
        "admin": signed_in(alice),
        "owner": signed_in(olive),
        "operator": signed_in(make_user("Oscar", is_operator=True)),
    }


@pytest.fixture
def ids(team: Team, people: dict[str, Client], bob: User) -> dict[str, str]:
    """What to write for each variable part of an address: things of the team Core."""
    key, _ = make_key(team)
    webhook, _ = destinations.create(
        team, name="Ops", kind="webhook", address="https://nobody.invalid/", events=["job.failed"], actor=SYSTEM
    )
    rule = set_rule(team, kind="errors", over=7, actor=SYSTEM)
    server = mcp_servers.add(team, name="shop", url="https://nobody.invalid/", headers={}, actor=SYSTEM)
    budget = budgets.create(
        team, Hand(SYSTEM), scope_kind="team", scope_id="", window="month", name="Ops", limit_usd="5"
    ).budget
    owner = team.organization.owners.get()
    return {
        "<int:membership_id>": str(Membership.objects.get(user=bob, team=team).pk),
        "<int:user_id>": str(owner.pk),
        "<uuid:key_id>": str(key.pk),
        "<uuid:destination_id>": str(webhook.pk),
        "<uuid:rule_id>": str(rule.id),
        "<uuid:budget_id>": str(budget.pk),
        "<uuid:server_id>": str(server.id),
        "<slug:provider_id>": "oidc",
        "<slug:beginning>": "00000000",
        r"^account/password/(?P<uidb36>[0-9A-Za-z]{1,20})-(?P<key>[0-9A-Za-z-]{1,200})$": sign_in_link(bob).split(
            "/", 3
        )[3],
        "<uuid:price_id>": str(UUID(int=1)),
    }


@pytest.mark.parametrize("line", _lines(), ids=lambda line: f"{line.method} {line.address}")
def test_each_role_gets_what_the_matrix_says(
    line: Line, team: Team, people: dict[str, Client], ids: dict[str, str]
) -> None:
    path = line.address
    for variable, value in ids.items():
        path = path.replace(variable, value)
    got = {}
    for role, client in people.items():
        with transaction.atomic():
            got[role] = client.generic(line.method, f"/{path}?team={team.slug}").status_code
            transaction.set_rollback(True)
    assert got == line.expected
