"""PostgreSQL and Redis for the tests: a pytest plugin (``-p tests.stack``), and a way to run one command beside them.

``python -m tests.stack manage.py check`` runs that with the addresses set. Where WFLO_DATABASE_URL and WFLO_REDIS_URL
are set, those are used and nothing is started.
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


class Services:
    """Shared by every test run of this folder: the last one out stops them."""

    def __init__(self) -> None:
        self.home = Path(os.environ.get("WFLO_TEST_HOME", "") or ROOT / ".wflo" / "test")
        self._users: int | None = None  # held open, and locked, as long as the services are used

    def start(self) -> None:
        """Sets the addresses in the environment. Raises devstack.StackError."""
        os.environ.setdefault("WFLO_HOME", str(self.home))
        Path(os.environ["WFLO_HOME"], "static").mkdir(parents=True, exist_ok=True)
        if os.environ.get("WFLO_DATABASE_URL") and os.environ.get("WFLO_REDIS_URL"):
            return
        self.home.mkdir(parents=True, exist_ok=True)
        self._users = os.open(self.home / "users.lock", os.O_WRONLY | os.O_CREAT)
        fcntl.flock(self._users, fcntl.LOCK_SH)
        stack = devstack.start(self.home)
        os.environ.setdefault("WFLO_DATABASE_URL", stack.database_url)
        os.environ.setdefault("WFLO_REDIS_URL", stack.redis_url)

    def stop(self) -> None:
        if self._users is None:
            return
        try:
            fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another run still uses them
        else:
            devstack.stop(self.home)
        finally:
            os.close(self._users)


services = Services()


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Generator[None, None, None]:
    """Before pytest-django reads the settings, which is at this hook too."""
    os.environ.setdefault("WFLO_ENV", "test")
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
