"""The cast: Alice runs the team Core and Bob is in it; Charlie runs another team and is the stranger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from django.db import connection
from django.test.utils import setup_databases, teardown_databases
from pytest_django.plugin import DjangoDbBlocker

from tests.make import make_team, make_user
from tests.served import Keeper, keeper
from tests.server import Server
from tracking.models import Team, User


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests last: from the first of them on, Playwright's event loop runs in this thread. Of them the largest files
    first, so that no process is left alone with one at the end."""
    sizes = Counter(item.path for item in items if "tests/browser/" in item.nodeid)
    items.sort(key=lambda item: (sizes[item.path] > 0, -sizes[item.path]))


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None,
    django_db_blocker: DjangoDbBlocker,
    django_db_keepdb: bool,
    django_db_createdb: bool,
) -> Iterator[None]:
    """The test database, always. pytest-django's own fixture makes only those that a test's marks name: a session of
    browser tests alone names none, and would fill and empty the real one."""
    keeps = django_db_keepdb and not django_db_createdb
    with django_db_blocker.unblock():
        made = setup_databases(verbosity=0, interactive=False, aliases={"default"}, keepdb=keeps)
    yield
    if not django_db_keepdb:
        with django_db_blocker.unblock():
            with connection.cursor() as cursor:  # processes of the last tests may be on their way out still
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            teardown_databases(made, verbosity=0)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.path != keeper.file and "served" not in getattr(item, "fixturenames", ()):
        keeper.end()


@pytest.fixture(scope="session")
def _kept(django_db_setup: None) -> Iterator[Keeper]:
    yield keeper
    keeper.end()


@pytest.fixture(scope="module")
def served(
    _kept: Keeper,
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Server]:
    """A web server for all who need nothing of it but that it is there. Each has teams of its own."""
    with django_db_blocker.unblock():
        yield _kept.server(tmp_path_factory.mktemp("served"), request.path)


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
