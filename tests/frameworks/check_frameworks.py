"""Each framework's tests, run in its own environment beside a running Wflo. ``make test-frameworks`` installs and runs them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests.fake_provider import Provider
from tests.frameworks import rates, table
from tests.make import empty_database, make_key, make_team
from tests.server import running_server
from tests.tracking.gateway.conftest import make_group
from tracking import credits, invariants, pricing
from tracking.audit import SYSTEM
from tracking.models import Team

SECONDS = 600


@pytest.fixture(scope="module")
def world(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """A running Wflo and a provider, as the environment's variables tell of them."""
    home = tmp_path_factory.mktemp("frameworks")
    provider = Provider(home / "bill").start()
    with django_db_blocker.unblock(), running_server(home) as server:
        pricing.load_bundled()
        team = _team(provider.url)
        _, key = make_key(team)
        (home / "bill").touch()
        yield {
            "FRAMEWORKS_WFLO": server.url, "FRAMEWORKS_KEY": key, "FRAMEWORKS_TEAM": team.slug,
            "FRAMEWORKS_PROVIDER": provider.url, "FRAMEWORKS_BILL": str(home / "bill"),
        }  # fmt: skip
        broken = invariants.check(team.pk)
        empty_database()
    provider.stop()
    assert broken == []


def _team(provider_url: str) -> Team:
    """Their models are priced and may be called through the gateway too."""
    team = make_team("Frameworks")
    credits.open_account(team, allocated=1000, actor=SYSTEM)
    for model in rates.MODELS:
        make_group(team, model, provider_url)
        for provider in rates.PROVIDERS:
            pricing.set_price(SYSTEM, team, f"{provider}/{model}", rates.figures(), valid_from="2020-01-01T00:00:00Z")
    return team


@pytest.mark.parametrize("name", table.chosen())
@pytest.mark.timeout(SECONDS + 30)
def test_a_framework(name: str, world: dict[str, str], tmp_path: Path) -> None:
    assert table.python(name).exists(), "make test-frameworks installs it"
    own = {key: value for key, value in os.environ.items() if not key.startswith(("WFLO_", "PYTEST_", "DJANGO_"))}
    variables = {"PYTHONPATH": str(table.ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "HOME": str(tmp_path)}
    done = subprocess.run(
        [
            *(str(table.python(name)), "-m", "pytest", "-q", "-c", "tests/frameworks/child.ini", "--rootdir", "."),
            *("--confcutdir", "tests/frameworks", str(table.tests(name))),
        ],
        cwd=table.ROOT,
        env=own | world | variables | table.VARIABLES.get(name, {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
    )
    print(done.stdout)  # noqa: T201
    assert done.returncode == 0, done.stdout[-20_000:]
