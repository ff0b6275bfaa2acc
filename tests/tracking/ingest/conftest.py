from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.make import make_team
from tracking import invariants, pricing
from tracking.ingest.writer import Store
from tracking.models import Team


@pytest.fixture
def store(transactional_db: None) -> Iterator[Store]:
    """A writer's own connection, beside the test's."""
    pricing.load_bundled()
    store = Store()
    yield store
    store.close()


@pytest.fixture
def team(transactional_db: None) -> Iterator[Team]:
    """Core; after each test what must always hold of it is checked."""
    team = make_team("Core")
    yield team
    assert invariants.check(team.id) == []
