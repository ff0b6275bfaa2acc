"""What a data folder (WFLO_HOME) knows about its own PostgreSQL and Redis: ports, passwords, where the tables are."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import shutil
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

FIRST_PORT, LAST_PORT = 20_000, 32_000  # below the range from which the kernel takes ports for outgoing connections
MIN_FREE_BYTES = 256 * 2**20


class StackError(Exception):
    """The stack cannot start; the text is one sentence that says what to do."""


@dataclass(slots=True)
class Memory:
    """Kept in ``WFLO_HOME/stack.json``, readable by its owner only."""

    postgres_port: int
    valkey_port: int
    postgres_password: str
    valkey_password: str
    postgres_folder: str = ""


def opened(home: Path) -> Path:
    """The folder, made when absent. Raises StackError when it cannot be written or its disk is full."""
    home = home.expanduser().absolute()
    try:
        home.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(home).free
    except OSError as error:
        raise StackError(said(error, home)) from error
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        raise StackError(
            f"WFLO_HOME {home} cannot be written by this user: give it to this user or set another WFLO_HOME."
        )
    if free < MIN_FREE_BYTES:
        raise StackError(
            f"The disk of WFLO_HOME {home} has {free // 2**20} MB free:"
            f" free at least {MIN_FREE_BYTES // 2**20} MB or set WFLO_HOME to a folder on another disk."
        )
    return home


def said(error: OSError, home: Path) -> str:
    """One sentence for what the file system answered."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk of WFLO_HOME {home} is full: free some space or set WFLO_HOME to a folder on another disk."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"WFLO_HOME {home} cannot be written by this user: give it to this user or set another WFLO_HOME."
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return f"WFLO_HOME {home} is not a folder: set WFLO_HOME to a folder."
    return f"WFLO_HOME {home} cannot be used ({error.strerror or error}): set another WFLO_HOME."


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """One start or stop at a time in this folder; others wait."""
    with open(home / "stack.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def recall(home: Path) -> Memory | None:
    path = home / "stack.json"
    try:
        kept = json.loads(path.read_text())
        return Memory(**{field.name: kept[field.name] for field in fields(Memory)})
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StackError(f"{path} is damaged: put back its copy, or move WFLO_HOME away to begin anew.") from error


def first(home: Path) -> Memory:
    """New passwords, and two ports derived from the folder's path, so that two folders seldom meet."""
    start = FIRST_PORT + zlib.crc32(str(home).encode()) % (LAST_PORT - FIRST_PORT)
    postgres_port = free_port(start)
    return Memory(
        postgres_port=postgres_port,
        valkey_port=free_port(postgres_port + 1),
        postgres_password=secrets.token_urlsafe(24),
        valkey_password=secrets.token_urlsafe(24),
    )


def remember(home: Path, memory: Memory) -> None:
    """Written beside and renamed: a kill or a full disk leaves the old one whole."""
    path = home / "stack.json"
    beside = path.with_suffix(".new")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(asdict(memory), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def free_port(start: int) -> int:
    """The first port from ``start`` on, going round, on which nothing listens at 127.0.0.1."""
    span = LAST_PORT - FIRST_PORT
    for step in range(span):
        port = FIRST_PORT + (start - FIRST_PORT + step) % span
        if port_is_free(port):
            return port
    raise StackError(f"No port from {FIRST_PORT} to {LAST_PORT} is free: stop something that listens there.")


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True
