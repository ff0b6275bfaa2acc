"""One supervisor for each data folder: a lock, and in its file who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wflo_site.launch import LaunchError

LEAVING_SECONDS = 15.0  # how long a start waits for an earlier one that is on its way out
TRY_SECONDS = 0.2


@contextmanager
def only_one(home: Path, address: str) -> Iterator[Teller]:
    """Raises LaunchError when another supervisor of this folder runs; waits for one that is stopping."""
    with open(home / "up.lock", "a+") as file:
        end = time.monotonic() + LEAVING_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                other = _other(file.name)
                if other.get("state") != "stopping" or time.monotonic() > end:
                    raise LaunchError(
                        f"Wflo already runs from WFLO_HOME {home} at {other.get('address', 'its address')}"
                        f" (process {other.get('pid', 'unknown')}): stop that one, or set another WFLO_HOME and WFLO_PORT."
                    ) from None
                time.sleep(TRY_SECONDS)
        tell = Teller(Path(file.name), address)
        tell("running")
        yield tell


class Teller:
    """Says in the lock's file how far this supervisor is."""

    def __init__(self, file: Path, address: str) -> None:
        self._file, self._address = file, address

    def __call__(self, state: str) -> None:
        self._file.write_text(json.dumps({"pid": os.getpid(), "address": self._address, "state": state}))


def _other(name: str) -> dict[str, str]:
    try:
        found = json.loads(Path(name).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
