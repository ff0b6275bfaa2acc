"""One small process that runs Wflo: stores, web, worker and beat; ``python -m wflo_site.supervisor``.

Standard library only: it lives as long as Wflo does and should weigh nothing.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import sys
import time

from wflo_site import devstack
from wflo_site.banner import banner
from wflo_site.child import MARK, Child, dies_with_its_parent, orphans
from wflo_site.launch import Launch, LaunchError, background, prepare_command, read_launch, version_of_tables, web
from wflo_site.log_lines import say
from wflo_site.one_per_home import Teller, only_one
from wflo_site.processes import alive, wait_until
from wflo_site.stack_home import StackError, opened, port_is_free

CHILD_SECONDS = 5.0  # between asking the processes to end and killing them
IMPATIENT_SECONDS = 1.0
ORPHAN_SECONDS = 5.0
STORE_CHECK_SECONDS = 2.0
ANSWER_SECONDS = 60.0
TICK_SECONDS = 0.2


def main() -> int:
    """Exit status: 0 after a stop that was asked for, 1 with one sentence when it could not start."""
    try:
        launch = read_launch(os.environ)
        if launch.stops_with_parent:
            dies_with_its_parent(os.getppid(), signal.SIGTERM)()
        home = opened(launch.home)
        with only_one(home, launch.address) as tell:
            return Supervisor(launch, tell).run()
    except (LaunchError, StackError) as error:
        say("up", str(error), problem=True)
        return 1
    except OSError as error:
        say("up", f"Wflo cannot start: {error}.", problem=True)
        return 1


class Supervisor:
    def __init__(self, launch: Launch, tell: Teller) -> None:
        self.launch = launch
        self.tell = tell
        self.asked_to_stop = 0.0  # monotonic; when it was
        self._impatient = False
        self.children: list[Child] = []
        self.environ: dict[str, str] = {}
        self._selector = selectors.DefaultSelector()
        self.places = [launch.home]  # all folders that hold what is kept
        self._store_pids: list[int] = []
        self._store_trouble = ""
        self._next_store_check = 0.0

    def run(self) -> int:
        self._listen_to_signals()
        try:
            self._end_orphans()
            self._check_port()
            self.environ = {**self.launch.environ, MARK: str(self.launch.home), **self._stores()}
            created = self._make_ready()
            if created is None:
                return 0 if self.asked_to_stop else 1
            answers = self._await_answer()
            for child in background(self.launch, self.environ):  # behind the pages: they wait for nobody
                self._add(child)
            for line in banner(self.launch, created, places=self.places, answers=answers):
                say("", line)
            while not self.asked_to_stop:
                self._look_after_everything()
            return 0
        finally:
            self.tell("stopping")
            self._stop()

    # --- signals: a byte in a pipe wakes the loop ---------------------------------------------------------------
    def _listen_to_signals(self) -> None:
        read, write = socket.socketpair()
        for end in (read, write):
            end.setblocking(False)
        signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)
        self._wakeup = (read, write)  # both stay open as long as we do
        self._selector.register(read, selectors.EVENT_READ, None)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask_to_stop)

    def _ask_to_stop(self, number: int, _frame: object) -> None:
        """A second Ctrl-C, some time after the first, means at once."""
        now = time.monotonic()
        if not self.asked_to_stop:
            self.asked_to_stop = now
        elif number == signal.SIGINT and now - self.asked_to_stop > IMPATIENT_SECONDS:
            self._impatient = True

    # --- before anything runs -----------------------------------------------------------------------------------
    def _end_orphans(self) -> None:
        left = orphans(self.launch.home)
        if not left:
            return
        say("up", f"An earlier start was killed and left {len(left)} processes: ending them.")
        for number, seconds in ((signal.SIGTERM, ORPHAN_SECONDS), (signal.SIGKILL, ORPHAN_SECONDS)):
            for pid in left:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    continue
            if wait_until(lambda: not any(alive(pid) for pid in left), seconds=seconds):
                return

    def _check_port(self) -> None:
        host, port = self.launch.host, self.launch.port
        try:
            free = port_is_free(port, host)
        except PermissionError:
            raise LaunchError(
                f"Port {port} needs more rights than this user has: set WFLO_PORT to one above 1023."
            ) from None
        except OSError as error:
            raise LaunchError(
                f"WFLO_HOST {host} is no address of this machine ({error.strerror}): set another."
            ) from None
        if not free:
            raise LaunchError(f"Port {port} of {host} is taken by another program: set WFLO_PORT to a free one.")

    def _stores(self) -> dict[str, str]:
        """Starts or takes over what is not external. Their addresses for the children."""
        if self.launch.database_url and self.launch.redis_url:
            return {}
        stack = devstack.start(
            self.launch.home, postgres=not self.launch.database_url, valkey=not self.launch.redis_url
        )
        self._store_pids = list(stack.pids.values())
        self.places = (
            [self.launch.home] if stack.tables.is_relative_to(self.launch.home) else [self.launch.home, stack.tables]
        )
        return {
            "WFLO_DATABASE_URL": self.launch.database_url or stack.database_url,
            "WFLO_REDIS_URL": self.launch.redis_url or stack.redis_url,
        }

    def _make_ready(self) -> dict[str, str] | None:
        """Prepares, and starts web. None when that failed (said) or a stop was asked for."""
        stamp, version = self.launch.home / "prepared", version_of_tables()
        server = web(self.launch, self.environ)
        if not self.launch.database_url and stamp.exists() and stamp.read_text() == version:
            self._add(server)  # the tables are known to fit
            self._await_answer()
        created = self._prepare()
        if created is not None:
            stamp.write_text(version)
            if not server.process:
                self._add(server)
        return created

    def _prepare(self) -> dict[str, str] | None:
        """Migrations and what the first start creates, as said in lines of JSON by the command."""
        created: dict[str, str] = {}
        said: list[str] = []

        def hear(line: str) -> None:
            if line.startswith("{"):
                created.update({name: value for name, value in json.loads(line).items() if isinstance(value, str)})
            else:
                said.append(line)

        command = Child("prepare", prepare_command(), self.environ)
        command.hears = hear
        self._start(command)
        status = None
        while status is None:
            if self.asked_to_stop:
                command.signal(signal.SIGKILL)
                return None
            self._look_after_everything()
            status = command.ended()
        self._pass_on(command)
        self._forget(command)
        for line in said:
            say("prepare", line, problem=status != 0)
        return created if status == 0 else None

    def _await_answer(self) -> bool:
        """Whether web answers, as soon as it does."""
        end = time.monotonic() + ANSWER_SECONDS
        answers = False
        while not (answers or self.asked_to_stop) and time.monotonic() < end:
            self._look_after_everything()
            answers = self._answers()
        return answers

    def _answers(self) -> bool:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.launch.host, self.launch.host)
        try:
            with socket.create_connection((host, self.launch.port), timeout=1) as link:
                link.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return b" 200 " in link.recv(64)
        except OSError:
            return False

    # --- while it runs ------------------------------------------------------------------------------------------
    def _add(self, child: Child) -> None:
        self.children.append(child)
        self._start(child)

    def _start(self, child: Child) -> None:
        child.start()
        self._selector.register(child, selectors.EVENT_READ, child)

    def _look_after_everything(self) -> None:
        """One turn: pass lines on, start again what died, take the stores up again when they fell."""
        for key, _ in self._selector.select(timeout=TICK_SECONDS):
            if key.data is None:
                self._wakeup[0].recv(64)
                continue
            self._pass_on(key.data)
        for child in self.children:
            self._look_after(child)
        if time.monotonic() > self._next_store_check and not self.asked_to_stop:
            self._next_store_check = time.monotonic() + STORE_CHECK_SECONDS
            self._keep_stores()

    def _keep_stores(self) -> None:
        """Starts one that fell again; should its port be another now, everything that uses it starts anew."""
        if all(alive(pid) for pid in self._store_pids):
            return
        try:
            addresses = self._stores()
        except StackError as error:
            if str(error) != self._store_trouble:  # once, not at every turn
                say("up", str(error), problem=True)
            self._store_trouble = str(error)
            return
        say("up", "PostgreSQL or Redis had stopped and runs again.", problem=True)
        self._store_trouble = ""
        if addresses.items() <= self.environ.items():
            return
        self.environ.update(addresses)
        for child in self.children:
            child.environ.update(addresses)
            child.ask_to_end()

    def _pass_on(self, child: Child) -> None:
        for line in child.lines():
            if line:
                child.hears(line)
        if child.silent:
            self._forget(child)

    def _forget(self, child: Child) -> None:
        if child.process is not None and child.fileno() in self._selector.get_map():
            self._selector.unregister(child)

    def _look_after(self, child: Child) -> None:
        if child.process is None:
            if time.monotonic() >= child.start_at and not self.asked_to_stop:
                self._start(child)
            return
        seconds = child.stuck()
        if seconds:
            say("up", f"{child.name} has done nothing for {seconds:.0f} seconds: starting it again.", problem=True)
            child.signal(signal.SIGKILL)
            child.process.wait()
        status = child.ended()
        if status is None:
            return
        self._pass_on(child)
        self._forget(child)
        wait = child.start_later()
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        say("up", f"{child.name} {how}: starting it again in {wait:.1f} s.", problem=True)

    # --- the end ------------------------------------------------------------------------------------------------
    def _stop(self) -> None:
        """Web, worker and beat first, then the stores; a second signal does not wait."""
        running = [child for child in self.children if child.process is not None]
        if running:
            say("up", "Stopping.")
        for child in running:
            child.ask_to_end()
        end = time.monotonic() + CHILD_SECONDS
        while any(child.process and child.process.poll() is None for child in running):
            for child in running:
                self._pass_on(child)
            if time.monotonic() > end or self._impatient:
                break
            time.sleep(TICK_SECONDS / 4)
        for child in running:
            child.signal(signal.SIGKILL)
            self._pass_on(child)
            if child.process is not None:
                child.process.wait()
        if not (self.launch.database_url and self.launch.redis_url):
            devstack.stop(self.launch.home)
        if running:
            say("up", f"Stopped; everything is kept in {' and '.join(map(str, self.places))}.")


if __name__ == "__main__":
    sys.exit(main())
