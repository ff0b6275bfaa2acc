from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

import pytest
from pytest_django.fixtures import Settings

from tests.make import make_team
from tests.tracking.tools.servers import Mcp, Pages, mcp_server, pages_server
from tracking.models import Team
from tracking.tools import ToolContext


@pytest.fixture
def team(transactional_db: None) -> Team:
    """Seen by the threads that tools work in."""
    return make_team("Core")


@pytest.fixture
def context(team: Team) -> ToolContext:
    return ToolContext(team=team, job_id="j1", run="r1", agent="writer")


@pytest.fixture
def loopback(settings: Settings) -> None:
    """As an operator allows it."""
    settings.WFLO_ALLOW_PRIVATE_EGRESS = (ip_network("127.0.0.0/8"),)


@pytest.fixture
def pages(loopback: None) -> Iterator[Pages]:
    with pages_server() as pages:
        yield pages


@pytest.fixture
def mcp(loopback: None) -> Iterator[Mcp]:
    with mcp_server() as server:
        yield server
