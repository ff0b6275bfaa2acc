"""PostgreSQL and Redis for the tests: a pytest plugin (``-p tests.stack``), and a way to run one command beside them.

``python -m tests.stack manage.py check`` runs that with the addresses set. Where WFLO_DATABASE_URL and WFLO_REDIS_URL
are set, those are used and nothing is started. With ``-n 2`` (pytest-xdist) each process takes stores of its own.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from wflo_site import devstack

ROOT = Path(__file__).resolve().parent.parent
RUNS_MAX = 20


class Services:
    """One run's own: runs at the same time take one folder each, so none fills or drops another's database."""

    def __init__(self) -> None:
        self.home = Path(os.environ.get("WFLO_TEST_HOME", "") or ROOT / ".wflo" / "test")
        self._user: int | None = None  # held open, and locked, as long as the services are used
        self._has_started = False

    def start(self) -> None:
        """Sets the addresses in the environment. Raises devstack.StackError."""
        self._take_home()
        os.environ.setdefault("WFLO_HOME", str(self.home))
        Path(os.environ["WFLO_HOME"], "static").mkdir(parents=True, exist_ok=True)
        if os.environ.get("WFLO_DATABASE_URL") and os.environ.get("WFLO_REDIS_URL"):
            return
        self._has_started = True
        stack = devstack.start(self.home)
        os.environ.setdefault("WFLO_DATABASE_URL", stack.database_url)
        os.environ.setdefault("WFLO_REDIS_URL", stack.redis_url)

    def stop(self) -> None:
        if self._has_started:
            devstack.stop(self.home)
        if self._user is not None:
            os.close(self._user)
        self._has_started, self._user = False, None

    def _take_home(self) -> None:
        for home in (self.home, *(self.home.with_name(f"{self.home.name}-{n}") for n in range(2, RUNS_MAX))):
            home.mkdir(parents=True, exist_ok=True)
            user = os.open(home / "user.lock", os.O_WRONLY | os.O_CREAT)
            try:
                fcntl.flock(user, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(user)
                continue
            self.home, self._user = home, user
            return
        raise devstack.StackError(f"{RUNS_MAX} runs of the tests are under way already")


services = Services()


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """Before pytest-django reads the settings, which is at this hook too."""
    os.environ.setdefault("WFLO_ENV", "test")
    deals_out = early_config.known_args_namespace.numprocesses and "PYTEST_XDIST_WORKER" not in os.environ
    if deals_out and os.environ.get("WFLO_DATABASE_URL"):
        raise pytest.UsageError(
            "Tests side by side need stores of their own: unset WFLO_DATABASE_URL, or say make test AT_ONCE=0."
        )
    if not deals_out:
        try:
            services.start()
        except devstack.StackError as error:
            raise pytest.UsageError(str(error)) from error
    return (yield)


def pytest_unconfigure() -> None:
    services.stop()


def main(command: list[str]) -> int:
    services.start()
    try:
        return subprocess.call([sys.executable, *command], cwd=ROOT)
    finally:
        services.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
