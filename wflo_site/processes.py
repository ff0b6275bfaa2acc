"""Other processes, seen through /proc: which live, whose they are, as whom to run."""

from __future__ import annotations

import importlib.util
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wflo_site.stack_home import StackError

SERVICE_USER = "nobody"


@dataclass(frozen=True, slots=True)
class RunAs:
    """PostgreSQL refuses root, so under root it gets a user without rights; else it runs as who started it."""

    uid: int
    gid: int
    changes: bool

    def options(self) -> dict[str, Any]:
        """What subprocess needs to run as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.changes else {}

    def owns(self, path: Path) -> None:
        if self.changes:
            os.chown(path, self.uid, self.gid)

    def reaches(self, path: Path) -> bool:
        """Whether this user can pass through every folder above ``path`` and enter it."""
        if not self.changes:
            return True
        done = subprocess.run(
            ["/bin/sh", "-c", 'test -x "$1"', "sh", str(path)],
            cwd="/",
            check=False,
            capture_output=True,
            **self.options(),
        )
        return done.returncode == 0


def package_folder(name: str) -> Path | None:
    """Where an installed package lies, without importing it; None when it is not installed."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def service_user() -> RunAs:
    if os.geteuid() != 0:
        return RunAs(uid=os.geteuid(), gid=os.getegid(), changes=False)
    try:
        user = pwd.getpwnam(SERVICE_USER)
    except KeyError:
        raise StackError(
            f"PostgreSQL does not run as root and there is no user {SERVICE_USER!r} to run it:"
            " start Wflo as a normal user, or set WFLO_DATABASE_URL."
        ) from None
    return RunAs(uid=user.pw_uid, gid=user.pw_gid, changes=True)


def run(command: Sequence[str | Path], run_as: RunAs, *, text: str = "", seconds: float = 60) -> tuple[int, str]:
    """Exit status and everything said. The working folder is / because the user may not see ours."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            timeout=seconds,
            check=False,
            **run_as.options(),
        )
    except PermissionError as error:
        raise StackError(
            f"{command[0]} cannot be run by {'user ' + SERVICE_USER if run_as.changes else 'this user'}"
            f" ({error.strerror}): start Wflo as a user who may, or set WFLO_DATABASE_URL and WFLO_REDIS_URL."
        ) from error
    except subprocess.TimeoutExpired:
        return 124, f"no end within {seconds:.0f} seconds"
    return done.returncode, done.stdout


def alive(pid: int) -> bool:
    """Runs, and is no zombie: where nobody reaps orphans a killed process keeps its number for ever."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in ("Z", "X")


def working_in(folder: Path) -> list[int]:
    """The processes whose working folder is ``folder``: both servers stay in their data folder."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                where = os.readlink(f"/proc/{entry}/cwd")
            except OSError:
                continue
            if where == str(folder) and alive(int(entry)):
                found.append(int(entry))
    return found


def wait_until(holds: Callable[[], bool], *, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def end(pid: int, *, with_signal: signal.Signals, seconds: float) -> None:
    """Ask, wait, then kill."""
    for number in (with_signal, signal.SIGKILL):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        if wait_until(lambda: not alive(pid), seconds=seconds):
            return
