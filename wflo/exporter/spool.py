"""Batches on disk until they are answered for, so that what a process could not send is sent by the next one.

A folder that several processes may share. Each has a lock file it holds for as long as it lives; batches are files named
after it, written beside, synced and renamed. Whose lock can be taken is dead, and its batches are adopted. The server knows
events by their ids, so a batch that is sent twice counts once.
"""

from __future__ import annotations

import contextlib
import gzip
import logging
import os
import zlib
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

fcntl: Any
try:
    import fcntl
except ImportError:  # not on Windows: a spool there is not adopted by others
    fcntl = None

log = logging.getLogger("wflo")
END = b"#end"


class Spool:
    """The batches of this process. Raises OSError from the constructor when the folder cannot be used."""

    def __init__(self, folder: str, *, bytes_max: int, lost: Callable[[str, int], None]) -> None:
        self._folder, self._bytes_max, self._lost = Path(folder), bytes_max, lost
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._name = uuid4().hex
        self._numbers = count(1)
        self._lock = os.open(self._folder / f"{self._name}.lock", os.O_CREAT | os.O_RDWR, 0o600)
        if fcntl is not None:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def write(self, events: list[bytes]) -> Path:
        """Raises OSError when the disk is full or the folder is gone."""
        data = gzip.compress(b"\n".join([*events, END]), 2)
        self._make_room(len(data))
        path = self._new_path(len(events))
        beside = path.with_suffix(".part")
        try:
            with open(beside, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.rename(path)
        except OSError:
            self.done(beside)
            raise
        return path

    def _new_path(self, count: int) -> Path:
        return self._folder / f"{self._name}-{next(self._numbers):09}-{count}.batch"

    def read(self, path: Path) -> list[bytes]:
        """The events of a batch; none, and the file is set aside, when it is no whole one."""
        try:
            *events, end = gzip.decompress(path.read_bytes()).split(b"\n")
            if end == END:
                return events
        except (OSError, EOFError, ValueError, zlib.error):
            pass
        with contextlib.suppress(OSError):
            path.rename(path.with_suffix(".bad"))
        self._lost("unreadable", _count(path))
        return []

    def waiting(self) -> list[Path]:
        """This process's own batches, the oldest first."""
        return sorted(self._folder.glob(f"{self._name}-*.batch"))

    def done(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            path.unlink()

    def adopt(self) -> int:
        """Take over the batches of processes that are dead; how many."""
        found = 0
        if fcntl is None:
            return 0
        owners = {path.stem for path in self._folder.glob("*.lock")}
        owners |= {path.name.partition("-")[0] for path in self._folder.glob("*-*-*.batch")}
        for owner in sorted(owners - {self._name}):
            found += self._adopted(owner)
        return found

    def _adopted(self, owner: str) -> int:
        found = 0
        lock = self._folder / f"{owner}.lock"
        try:
            held = os.open(lock, os.O_CREAT | os.O_RDWR, 0o600)
        except OSError:
            return 0
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for path in sorted(self._folder.glob(f"{owner}-*.batch")):
                path.rename(self._new_path(_count(path)))
                found += 1
            for path in self._folder.glob(f"{owner}-*.part"):
                path.unlink()
            lock.unlink()
        except OSError:
            return found  # it lives, or another took it first
        finally:
            os.close(held)
        return found

    def _make_room(self, size: int) -> None:
        files = sorted(self._folder.glob("*.bad")) + sorted(self._folder.glob("*.batch"), key=_modified)
        total = sum(_size(path) for path in files)
        for path in files:
            if total + size <= self._bytes_max:
                return
            total -= _size(path)
            self.done(path)
            if path.suffix != ".bad":  # that was counted
                self._lost("spool_full", _count(path))

    def close(self) -> None:
        """Let go of the lock; with nothing left, of its file too."""
        if not self.waiting():
            with contextlib.suppress(OSError):
                (self._folder / f"{self._name}.lock").unlink()
        self.forget()

    def forget(self) -> None:
        """In a child: the parent's lock is the parent's."""
        with contextlib.suppress(OSError):
            os.close(self._lock)


def _count(path: Path) -> int:
    last = path.stem.rpartition("-")[2]
    return int(last) if last.isdecimal() else 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
