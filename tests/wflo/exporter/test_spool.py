"""Batches on disk: what is whole is sent by whoever comes next, what is not is set aside. K… are cases of the catalogue."""

from __future__ import annotations

import gzip
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wflo.exporter.hosts import SLACK_SECONDS, ended, host, tools
from tests.wflo.exporter.receiver import Receiver, a_black_hole, a_closed_port, a_receiver
from wflo.exporter.spool import Spool

WHOLE = gzip.compress(b'{"n":1}\n{"n":2}\n#end')
TORN = {
    "empty": b"",
    "no gzip": b"torn",
    "cut in its head": WHOLE[:5],
    "cut in its middle": WHOLE[:-12],
    "cut in its sum": WHOLE[:-4],
    "no deflate": WHOLE[:10] + b"\xff" + WHOLE[11:],
    "no end": gzip.compress(b'{"n":1}'),
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with a_receiver() as receiver:
        yield receiver


def a_spool(folder: Path, lost: Counter[str], bytes_max: int = 2**20) -> Spool:
    return Spool(str(folder), bytes_max=bytes_max, lost=lambda reason, count: lost.update({reason: count}))


def names(folder: Path, ending: str) -> set[str]:
    return {path.name for path in folder.glob(f"*{ending}")}


@pytest.mark.parametrize("torn", TORN)
def test_a_torn_file_is_set_aside_and_the_others_are_read(torn: str, tmp_path: Path) -> None:
    """K15, K20"""
    lost: Counter[str] = Counter()
    (tmp_path / "dead.lock").touch()
    (tmp_path / "dead-000000001-7.batch").write_bytes(TORN[torn])
    (tmp_path / "dead-000000002-2.batch").write_bytes(WHOLE)
    (tmp_path / "dead-000000003-1.part").write_bytes(b"half")
    spool = a_spool(tmp_path, lost)
    assert spool.adopt() == 2
    found = [event for path in spool.waiting() for event in spool.read(path)]
    spool.close()
    assert found == [b'{"n":1}', b'{"n":2}']
    assert lost == {"unreadable": 7}
    assert len(names(tmp_path, ".bad")) == 1
    assert names(tmp_path, ".part") == set()


def test_batches_whose_owner_left_no_lock_are_adopted_too(tmp_path: Path) -> None:
    """K15"""
    (tmp_path / "dead-000000001-2.batch").write_bytes(WHOLE)
    (tmp_path / "strange.batch").write_bytes(WHOLE)
    (tmp_path / "notes.txt").write_text("somebody's own")
    spool = a_spool(tmp_path, Counter())
    assert spool.adopt() == 1
    assert [spool.read(path) for path in spool.waiting()] == [[b'{"n":1}', b'{"n":2}']]
    assert {"strange.batch", "notes.txt"} <= {path.name for path in tmp_path.iterdir()}
    spool.close()


def test_what_belongs_to_the_living_is_theirs(tmp_path: Path) -> None:
    """K15"""
    one, other = a_spool(tmp_path, Counter()), a_spool(tmp_path, Counter())
    path = one.write([b"{}"])
    assert other.adopt() == 0
    assert one.waiting() == [path]
    one.forget()  # as its process dies
    assert other.adopt() == 1
    other.close()


def test_a_spool_has_an_end(tmp_path: Path) -> None:
    """K20: files that were set aside count, and go first."""
    lost: Counter[str] = Counter()
    (tmp_path / "dead-000000001-7.bad").write_bytes(b"x" * 2_500)
    spool = a_spool(tmp_path, lost, bytes_max=3_000)
    for number in range(20):
        spool.write([os.urandom(400).hex().encode()] * 2 + [b"%d" % number])
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 3_000
    assert lost == {"spool_full": 3 * (20 - len(spool.waiting()))}
    assert spool.read(spool.waiting()[-1])[-1] == b"19"
    for path in spool.waiting():
        spool.done(path)
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_changes_nothing_and_is_left_as_it_was(receiver: Receiver, tmp_path: Path) -> None:
    """K20"""
    script = """
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
    for number in range(10): work(number)
    assert wflo.flush(10)
    print(work(10))
    """
    said, complaint, _ = ended(host(script, receiver.url, WFLO_SPOOL_FOLDER=str(tmp_path)))
    assert said == "10\n"
    assert "Traceback" not in complaint
    assert tools(receiver) == list(range(11))
    assert list(tmp_path.iterdir()) == []


KILLED = """
with wflo.run("a run that is killed"):
    work(0)
    wflo.flush(0.5)  # by now the server was looked for, and did not answer
    time.sleep(float(os.environ["REST"]))
    for number in range(1, 50):
        work(number)
    assert wflo.flush(3), "not on disk"
    print("ready", flush=True)
    time.sleep(60)
"""
NEXT = """
work(99)
end = time.monotonic() + 10
while any(name.endswith(".batch") for name in os.listdir(os.environ["WFLO_SPOOL_FOLDER"])):
    assert time.monotonic() < end
    time.sleep(0.05)
"""


@pytest.mark.parametrize("heartbeats", ["", "heartbeats meanwhile"])
def test_what_a_killed_process_could_not_send_is_sent_once_by_the_next(
    heartbeats: str, receiver: Receiver, tmp_path: Path
) -> None:
    """K15"""
    script = f"wflo.configure(heartbeat_seconds={0.05 if heartbeats else 60})\n{KILLED}"
    first = host(script, a_closed_port(), WFLO_SPOOL_FOLDER=str(tmp_path), REST="1" if heartbeats else "0")
    assert first.stdout is not None
    assert first.stdout.readline() == "ready\n"
    first.kill()
    ended(first, code=-signal.SIGKILL)
    ended(host(f"wflo.configure(send_seconds=0.05)\n{NEXT}", receiver.url, WFLO_SPOOL_FOLDER=str(tmp_path)))
    assert tools(receiver) == [*range(50), 99]
    assert names(tmp_path, "") == set()


def test_what_is_queued_behind_a_server_that_hangs_is_kept_at_the_end(receiver: Receiver, tmp_path: Path) -> None:
    """K15, K16"""
    script = """
    work(0)
    wflo.flush(0.3)  # the thread waits for an answer from now on
    for number in range(1, 300): work(number)
    print("done", flush=True)
    os.close(1)
    """
    with a_black_hole() as hole:
        _, complaint, seconds = ended(host(script, hole, WFLO_SPOOL_FOLDER=str(tmp_path)))
    assert seconds < SLACK_SECONDS
    assert "Traceback" not in complaint
    ended(host(NEXT.replace("99", "300"), receiver.url, WFLO_SPOOL_FOLDER=str(tmp_path)))
    assert sorted(set(tools(receiver))) == list(range(301))


def test_processes_share_a_spool_and_send_nothing_twice(receiver: Receiver, tmp_path: Path) -> None:
    """K15, K20: four at once, after two that died."""
    for start in (0, 10):
        dead = host(
            f"for n in range({start}, {start + 10}): work(n)\nwflo.flush(0.7); print(1, flush=True); time.sleep(60)",
            a_closed_port(), WFLO_SPOOL_FOLDER=str(tmp_path),
        )  # fmt: skip
        assert dead.stdout is not None
        assert dead.stdout.readline() == "1\n"
        dead.kill()
        ended(dead, code=-signal.SIGKILL)
    living = [
        host(f"work({20 + n}); wflo.flush(10); time.sleep(1.2)", receiver.url, WFLO_SPOOL_FOLDER=str(tmp_path))
        for n in range(4)
    ]
    for one in living:
        ended(one)
    assert tools(receiver) == list(range(24))
    assert names(tmp_path, "") == set()
