"""A web server that files of tests share, one after the other. It is ended before a test of another file that does without it:
emptying the database under a server that looks into it now and then is a deadlock sooner or later."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from tests.server import Server, running_server

PATIENT = {"WFLO_BUDGET_WAIT_MS": "30000"}


class Keeper:
    """``file``: whose tests have it now."""

    def __init__(self) -> None:
        self.file: Path | None = None
        self._stack = ExitStack()
        self._server: Server | None = None

    def server(self, home: Path, file: Path) -> Server:
        """The one that runs, else a new one."""
        self.file = file
        if self._server is None:
            self._server = self._stack.enter_context(running_server(home, extra=PATIENT))
        return self._server

    def end(self) -> None:
        self._stack.close()
        self._server = None


keeper = Keeper()
