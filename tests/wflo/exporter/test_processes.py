"""The library in processes that end, fork, die and begin again. The numbers K… are cases of the catalogue of faults."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import ROOT
from tests.wflo.exporter.hosts import PATIENT, TEN, ended, host, tools
from tests.wflo.exporter.receiver import Receiver, a_closed_port, a_receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with a_receiver() as receiver:
        yield receiver


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("raise ValueError('the host fails')", 1),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
        ("threading.Thread(target=time.sleep, args=(60,), daemon=True).start()", 0),
        ("import concurrent.futures as f; f.ThreadPoolExecutor(1).submit(work, 10).result()", 0),
        ("import atexit; atexit.register(work, 11)", 0),
    ],
)
def test_however_a_process_ends_what_was_recorded_is_sent(ending: str, code: int, receiver: Receiver) -> None:
    """K16"""
    _, complaint, _ = ended(host(PATIENT + TEN + ending, receiver.url), code=code)
    assert tools(receiver)[:10] == list(range(10))
    assert ("Traceback" in complaint) == ("raise" in ending)
    assert "wflo" not in complaint


def test_children_send_what_is_theirs_and_nothing_twice(receiver: Receiver) -> None:
    """K14"""
    script = f"""
    import multiprocessing
    from wflo import exporter
    {PATIENT}

    def child(number):
        for step in range(5):
            work(100 * number + step)

    work(0)
    stop = threading.Event()
    def busy():
        while not stop.is_set():
            exporter._sender.queue._lock.acquire(); time.sleep(0.0005); exporter._sender.queue._lock.release()
    threading.Thread(target=busy, daemon=True).start()
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=child, args=(number,)) for number in range(1, 7)]
    for one in children: one.start()
    for one in children: one.join()
    for _ in range(60):
        pid = os.fork()
        if pid == 0:
            work(9_000); os._exit(0)
        os.waitpid(pid, 0)
    stop.set()
    assert [one.exitcode for one in children] == [0] * 6
    """
    _, complaint, _ = ended(host(script, receiver.url))
    assert "Traceback" not in complaint
    sent = tools(receiver)
    assert [number for number in sent if number < 9_000] == sorted(
        [0, *(100 * n + step for n in range(1, 7) for step in range(5))]
    )


def test_an_event_loop_is_not_held_up(receiver: Receiver) -> None:
    """K17"""
    script = """
    import asyncio

    async def main():
        ticks = 0
        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.002); ticks += 1
        ticking = asyncio.create_task(tick())
        began = time.monotonic()
        while time.monotonic() - began < 1.0:
            for _ in range(20): work(1)
            await asyncio.sleep(0)
        ticking.cancel()
        print(ticks)

    asyncio.run(main())
    """
    said, _, _ = ended(host(script, receiver.url))
    assert int(said) > 20


def test_a_spawned_child_and_greenlets_do_no_harm(receiver: Receiver, tmp_path: Path) -> None:
    """K29: a child that is spawned begins anew; a host whose threads cannot start goes on."""
    (tmp_path / "spawned.py").write_text(
        "import multiprocessing, wflo\n"
        "@wflo.track_tool_call\ndef work(number):\n    return number\n"
        "if __name__ == '__main__':\n"
        "    work(1)\n"
        "    child = multiprocessing.get_context('spawn').Process(target=work, args=(2,))\n"
        "    child.start(); child.join(); assert child.exitcode == 0\n"
    )
    environ = {**os.environ, "WFLO_ENDPOINT": receiver.url, "WFLO_API_KEY": "k", "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    subprocess.run([sys.executable, str(tmp_path / "spawned.py")], env=environ, check=True, timeout=60)
    assert tools(receiver) == [1, 2]
    script = """
    def no_thread(*args, **kwargs): raise RuntimeError("can't start new thread")
    threading.Thread.start = no_thread
    print(work(3))
    """
    said, complaint, _ = ended(host(script, receiver.url))
    assert (said, "Traceback" in complaint) == ("3\n", False)


def test_memory_stays_where_it_is_while_the_server_is_away() -> None:
    """K24: a queue that is full grows no more, however long nobody takes from it."""
    script = """
    import resource
    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    big = "x" * 4_000
    for number in range(6_000): work(big)
    before = peak()
    for number in range(30_000): work(big)
    print(peak() - before)
    """
    said, _, _ = ended(host(script, a_closed_port()))
    assert int(said) < 32_000  # KiB


@pytest.mark.parametrize("folder", ["missing/deep", "a file", "full of others"])
def test_a_spool_that_cannot_be_used_changes_nothing(folder: str, receiver: Receiver, tmp_path: Path) -> None:
    """K20"""
    path = tmp_path / folder
    if folder == "a file":
        path.write_text("not a folder")
    if folder == "full of others":
        path.mkdir()
        (path / "x.lock").mkdir()
        (path / "nobody-000000001-3.batch").write_bytes(b"\x1f\x8b broken")
        (path / "strange.batch").write_text("")
    _, complaint, _ = ended(host(TEN, receiver.url, WFLO_SPOOL_FOLDER=str(path)))
    assert "Traceback" not in complaint
    assert tools(receiver) == list(range(10))


def test_configured_twice_ended_and_used_again(receiver: Receiver) -> None:
    """K21"""
    script = f"""
    wflo.configure(endpoint="{receiver.url}", api_key="k"); wflo.configure(endpoint="{receiver.url}", api_key="k")
    from wflo import exporter
    work(1); exporter.shutdown(); exporter.shutdown()
    work(2); assert wflo.flush(10)
    wflo.configure(endpoint="", api_key=""); work(3); assert wflo.flush(10)
    """
    _, complaint, _ = ended(host(script, receiver.url))
    assert "Traceback" not in complaint
    assert tools(receiver) == [1, 2]


def test_importing_opens_no_connection_and_loads_little() -> None:
    """K25"""
    code = (
        "import socket, sys\n"
        "def closed(*a, **k): raise AssertionError('network')\n"
        "socket.socket.connect = closed; socket.getaddrinfo = closed\n"
        "import wflo; wflo.WfloWorkflow; wflo.track_llm_call\n"
        "import threading; assert threading.active_count() == 1\n"
        "print(len([name for name in sys.modules if not name.startswith(('encodings', '_'))]))"
    )
    environ = {**os.environ, "WFLO_ENDPOINT": "http://127.0.0.1:9", "PYTHONPATH": str(ROOT)}
    found = subprocess.run([sys.executable, "-S", "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert int(found.stdout) < 250
