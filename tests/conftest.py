"""The cast: Alice runs the team Core and Bob is in it; Charlie runs another team and is the stranger."""

from __future__ import annotations

import pytest

from tests.make import make_team, make_user
from tracking.models import Team, User


@pytest.fixture
def team(db: None) -> Team:
    return make_team("Core")


@pytest.fixture
def alice(team: Team) -> User:
    return make_user("Alice", team=team, role="admin")


@pytest.fixture
def bob(team: Team) -> User:
    return make_user("Bob", team=team, role="member")


@pytest.fixture
def other_team(db: None) -> Team:
    return make_team("Elsewhere")


@pytest.fixture
def charlie(other_team: Team) -> User:
    return make_user("Charlie", team=other_team, role="admin")
