"""One command: what a person sees at the first start, later ones, and after every way of ending it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.running import Running
from wflo_site import devstack
from wflo_site.child import MARK
from wflo_site.processes import alive, wait_until
from wflo_site.store_troubles import database_trouble, redis_trouble

BACK_SECONDS = 30

# A child of the killed supervisor that does not end when asked.
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(120)"

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
    try:
        empty = httpx.post(
            f"{running.url}/v1/traces",
            headers={"authorization": f"Bearer {key}", "content-type": "application/json"},
            json={"resourceSpans": []},
            timeout=20,
        )
    except httpx.HTTPError:
        return False
    return empty.status_code == 200


def test_the_first_start_says_its_secrets_once_and_the_next_keeps_everything(up: Start, home: Path) -> None:
    first = up().greeted()
    assert first.answers()
    assert f"Wflo runs at {first.url}" in first.said
    key, password = first.banner("API key"), first.banner("password")
    assert "@" in first.banner("sign in")
    assert len(password) >= 10
    assert key_is_good(first, key)

    second = up()
    assert second.ended() == 1
    assert f"Wflo already runs from WFLO_HOME {home} at {first.url} (process {first.process.pid})" in second.said

    beside = up(home.parent / "another").greeted()
    assert key_is_good(beside, beside.banner("API key"))
    assert not key_is_good(beside, key)
    assert not key_is_good(first, beside.banner("API key"))

    assert first.end(signal.SIGINT) == 0
    assert first.everything() == []
    assert beside.answers()
    assert beside.end(signal.SIGTERM) == 0
    assert beside.everything() == []

    again = up().greeted()
    assert key_is_good(again, key)
    assert password not in again.said
    assert key not in again.said


def test_whatever_is_killed_comes_back(up: Start) -> None:
    running = up().greeted()
    key = running.banner("API key")
    for process in [running.child(word) for word in ("granian", "worker", "beat")]:
        assert process is not None
        process.kill()
    for name in ("web", "worker", "beat"):
        assert wait_until(partial(running.has_said, f"{name} was killed by signal 9"), seconds=BACK_SECONDS)
    assert wait_until(running.answers, seconds=BACK_SECONDS), running.said
    assert wait_until(lambda: bool(running.child("worker") and running.child("beat")), seconds=BACK_SECONDS)

    before = devstack.start(running.home).pids
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not any(alive(pid) for pid in before.values()), seconds=BACK_SECONDS)
    assert wait_until(lambda: key_is_good(running, key), seconds=BACK_SECONDS), running.said

    deaf = subprocess.Popen(
        [sys.executable, "-c", DEAF], env={**os.environ, MARK: str(running.home)}, stdout=subprocess.PIPE
    )
    assert deaf.stdout is not None
    assert deaf.stdout.readline() == b"deaf\n"
    running.end(signal.SIGKILL)
    again = up(port=running.port).greeted()
    assert key_is_good(again, key)
    assert deaf.wait(timeout=BACK_SECONDS) == -signal.SIGKILL
    deaf.stdout.close()
    assert again.end() == 0
    assert again.everything() == []


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
    ("url", "sentence"),
    [
        ("postgresql://me@127.0.0.1:1/db", "PostgreSQL at 127.0.0.1:1 does not answer (Connection refused"),
        ("postgresql://me@nowhere.invalid/db", "The host of nowhere.invalid:5432 is not known: correct"),
        ("{user}:wrong@{where}/wflo", "refuses user 'wflo': correct user and password in WFLO_DATABASE_URL."),
        ("postgresql://who:wrong@{where}/wflo", "refuses user 'who': correct user and password in WFLO_DATABASE_URL."),
        ("{database}_not", "has no database 'wflo_not': create it, or correct the name in WFLO_DATABASE_URL."),
        ("{database}?sslmode=nonsense", "WFLO_DATABASE_URL cannot be read"),
        ("{database}", ""),
    ],
)
def test_what_is_wrong_with_a_database_is_said_in_one_sentence(stores: devstack.Stack, url: str, sentence: str) -> None:
    user = stores.database_url.rpartition(":")[0].rpartition(":")[0]
    where = stores.database_url.rpartition("@")[2].partition("/")[0]
    trouble = database_trouble(url.format(user=user, where=where, database=stores.database_url))
    assert sentence in trouble
    assert bool(trouble) == bool(sentence)
    assert "\n" not in trouble
    assert "wrong" not in trouble


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("redis://127.0.0.1:1/0", "Redis at 127.0.0.1:1 does not answer (Error 111"),
        ("redis://:wrong@{where}", "refuses the password: correct it in WFLO_REDIS_URL."),
        ("redis://{where}", "refuses the password: correct it in WFLO_REDIS_URL."),
        ("redis://nowhere.invalid", "Redis at nowhere.invalid:6379 does not answer"),
        ("{redis}", ""),
    ],
)
def test_what_is_wrong_with_redis_is_said_in_one_sentence(stores: devstack.Stack, url: str, sentence: str) -> None:
    trouble = redis_trouble(url.format(where=stores.redis_url.rpartition("@")[2], redis=stores.redis_url))
    assert sentence in trouble
    assert bool(trouble) == bool(sentence)
    assert "\n" not in trouble


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"WFLO_DATABASE_URL": "mysql://me@here/db"}, "WFLO_DATABASE_URL is not an address of the form postgresql://"),
        (
            {"WFLO_DATABASE_URL": "postgresql://h:port/db"},
            "WFLO_DATABASE_URL is not an address of the form postgresql:",
        ),
        ({"WFLO_DATABASE_URL": "postgresql://h:5432"}, "WFLO_DATABASE_URL names no database: end it with /name."),
        ({"WFLO_DATABASE_URL": "postgresql://h:1/db", "WFLO_REDIS_URL": "redis://h:1"}, "The host of h:1 is not known"),
        ({"WFLO_REDIS_URL": "127.0.0.1:6379"}, "WFLO_REDIS_URL is not an address of the form redis://"),
        ({"WFLO_ENV": "production"}, "WFLO_SECRET_KEY is not set: in production give it 50 random characters."),
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
