"""One command: what a person sees at the first start, later ones, and after every way of ending it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from tests.running import Running
from wflo_site import devstack
from wflo_site.processes import wait_until

STOP_SECONDS = 10
BACK_SECONDS = 30

Start = Callable[..., Running]


@pytest.fixture
def home() -> Iterator[Path]:
    top = Path(tempfile.mkdtemp(prefix="wflo-"))
    top.chmod(0o755)
    yield top / "kept here"
    shutil.rmtree(top)


@pytest.fixture
def up(home: Path) -> Iterator[Start]:
    """Starts one of any settings; whatever the test leaves is ended."""
    started: list[Running] = []

    def start(where: Path = home, **settings: str) -> Running:
        started.append(Running(where, **settings))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.end()
    for one in started:
        devstack.stop(one.home)


def key_is_good(running: Running, key: str) -> bool:
    empty = httpx.post(
        f"{running.url}/v1/traces",
        headers={"authorization": f"Bearer {key}", "content-type": "application/json"},
        json={"resourceSpans": []},
    )
    return empty.status_code == 200


def test_the_first_start_says_its_secrets_once_and_the_next_keeps_everything(up: Start) -> None:
    first = up().greeted()
    assert first.answers()
    assert f"Wflo runs at {first.url}" in first.said
    key, password = first.banner("API key"), first.banner("password")
    assert "@" in first.banner("sign in")
    assert len(password) >= 10
    assert key_is_good(first, key)
    assert not key_is_good(first, f"{key}x")

    second = up(first.home)
    assert second.ended() == 1
    assert f"Wflo already runs from WFLO_HOME {first.home} at {first.url} (process {first.process.pid})" in second.said

    assert first.end(signal.SIGINT) == 0
    assert first.everything() == []

    again = up(first.home).greeted()
    assert key_is_good(again, key)
    assert password not in again.said
    assert key not in again.said
    assert again.end(signal.SIGTERM) == 0
    assert again.everything() == []


def test_whatever_is_killed_comes_back(up: Start) -> None:
    running = up().greeted()
    supervised = {
        name: running.child(word) for name, word in (("web", "granian"), ("worker", "worker"), ("beat", "beat"))
    }
    for process in supervised.values():
        process.kill()
    for name in supervised:
        assert wait_until(lambda name=name: f"{name} was killed by signal 9" in running.said, seconds=BACK_SECONDS)  # type: ignore[misc]
    assert wait_until(running.answers, seconds=BACK_SECONDS), running.said
    assert wait_until(lambda: bool(running.child("worker") and running.child("beat")), seconds=BACK_SECONDS)

    before = devstack.start(running.home).pids
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not any(psutil.pid_exists(pid) for pid in before.values()), seconds=BACK_SECONDS)
    assert wait_until(lambda: devstack.start(running.home).pids.keys() == before.keys(), seconds=BACK_SECONDS)
    with psycopg.connect(devstack.start(running.home).database_url) as link:
        assert link.execute("SELECT count(*) FROM tracking_team").fetchone() == (1,)


def test_a_killed_supervisor_leaves_nothing_in_the_way(up: Start) -> None:
    first = up().greeted()
    key = first.banner("API key")
    worker = first.child("worker")
    worker.suspend()  # one that cannot hear that its parent died
    first.end(signal.SIGKILL)
    again = up(first.home, port=first.port).greeted()
    assert key_is_good(again, key)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


def test_two_folders_run_side_by_side(up: Start, home: Path) -> None:
    one, two = up(), up(home.parent / "another")
    one_key, two_key = one.greeted().banner("API key"), two.greeted().banner("API key")
    assert (key_is_good(one, one_key), key_is_good(two, two_key)) == (True, True)
    assert (key_is_good(one, two_key), key_is_good(two, one_key)) == (False, False)


def test_a_taken_port_is_said_with_what_to_do(up: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        running = up(port=port)
        assert running.ended() == 1
    assert (
        running.said == f"up      | Port {port} of 127.0.0.1 is taken by another program: set WFLO_PORT to a free one."
    )


@pytest.fixture(scope="module")
def stores() -> Iterator[devstack.Stack]:
    """To be addressed wrongly."""
    top = Path(tempfile.mkdtemp(prefix="wflo-"))
    top.chmod(0o755)
    yield devstack.start(top / "home")
    devstack.stop(top / "home")
    shutil.rmtree(top)


@pytest.mark.parametrize(
    ("name", "url", "sentence"),
    [
        ("WFLO_DATABASE_URL", "mysql://me@here/db", "WFLO_DATABASE_URL is not an address of the form postgresql://"),
        ("WFLO_DATABASE_URL", "postgresql://me@here:port/db", "WFLO_DATABASE_URL is not an address of the form"),
        (
            "WFLO_DATABASE_URL",
            "postgresql://me@127.0.0.1:1/db",
            "PostgreSQL at 127.0.0.1:1 does not answer (Connection",
        ),
        ("WFLO_DATABASE_URL", "postgresql://me@nowhere.invalid/db", "The host of nowhere.invalid:5432 is not known:"),
        ("WFLO_DATABASE_URL", "{user}:wrong@{where}/wflo", "refuses user 'wflo': correct user and password in"),
        ("WFLO_DATABASE_URL", "{database}_not", "has no database 'wflo_not': create it, or correct"),
        ("WFLO_DATABASE_URL", "{user}@{where}", "WFLO_DATABASE_URL names no database: end it with /name."),
        ("WFLO_REDIS_URL", "127.0.0.1:6379", "WFLO_REDIS_URL is not an address of the form redis://"),
        ("WFLO_REDIS_URL", "redis://127.0.0.1:1/0", "Redis at 127.0.0.1:1 does not answer (Error 111"),
        ("WFLO_REDIS_URL", "redis://:wrong@{redis}", "refuses the password: correct it in WFLO_REDIS_URL."),
    ],
)
def test_a_wrong_address_of_a_store_is_said_in_one_sentence(
    up: Start, stores: devstack.Stack, name: str, url: str, sentence: str
) -> None:
    user = stores.database_url.rpartition(":")[0].rpartition(":")[0]
    where = stores.database_url.rpartition("@")[2].partition("/")[0]
    wrong = url.format(user=user, where=where, database=stores.database_url, redis=stores.redis_url.rpartition("@")[2])
    settings = {"WFLO_DATABASE_URL": stores.database_url, "WFLO_REDIS_URL": stores.redis_url, name: wrong}
    running = up(**settings)
    assert running.ended() == 1
    assert sentence in running.said
    assert len(running.lines) == 1


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"WFLO_WEB_PROCESSES": "many"}, "WFLO_WEB_PROCESSES is 'many': give a number from 1 to 256."),
        ({"WFLO_HOST": "192.0.2.1"}, "WFLO_HOST 192.0.2.1 is no address of this machine"),
        ({"WFLO_HOME": "/dev/null"}, "WFLO_HOME /dev/null is not a folder: set WFLO_HOME to a folder."),
    ],
)
def test_a_wrong_setting_is_said_in_one_sentence(up: Start, settings: dict[str, str], sentence: str) -> None:
    running = up(**settings)
    assert running.ended() == 1
    assert sentence in running.said
    assert len(running.lines) == 1
