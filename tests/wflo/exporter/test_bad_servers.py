"""Hosts beside servers that are away, wrong, slow or endless. The numbers K… are cases of the catalogue of faults."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.wflo.exporter.bad_servers import BAD, DRIPPING, a_bad_server
from tests.wflo.exporter.hosts import SLACK_SECONDS, ended, host
from tests.wflo.exporter.receiver import a_black_hole, a_closed_port
from wflo.exporter.sender import PATH
from wflo.exporter.transport import Transport

SCRIPT = """
import resource
peak_kb = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with wflo.run("a host"):
    for number in range(700):
        print(work(number))
    before = peak_kb()
    wflo.flush(1.0)
    print(f"peak={peak_kb() - before}", file=sys.stderr)
print("done", flush=True)
os.close(1)
"""
ALONE = "\n".join([*map(str, range(700)), "done", ""])
MEMORY_KB = 48 * 1024
AWAY = ("refused", "black hole", "no such name", "no TLS")
Ended = dict[str, tuple[str, str, float]]


@pytest.fixture(scope="module")
def hosts() -> Iterator[Ended]:
    """How a host ended beside each of the servers; all at once, for each waits for its own."""
    with ExitStack() as stack:
        hole = stack.enter_context(a_black_hole())
        endpoints = {name: stack.enter_context(a_bad_server(speech)) for name, speech in BAD.items()}
        endpoints |= {"refused": a_closed_port(), "black hole": hole, "no such name": "http://no-such-host.invalid:1"}
        endpoints["no TLS"] = hole.replace("http", "https")
        with ThreadPoolExecutor(4) as pool:
            yield dict(zip(endpoints, pool.map(lambda url: ended(host(SCRIPT, url)), endpoints.values()), strict=True))


@pytest.mark.parametrize("server", [*AWAY, *BAD])
def test_a_bad_server_changes_nothing_for_the_host(server: str, hosts: Ended) -> None:
    """K1 to K9"""
    said, complaint, seconds = hosts[server]
    assert said == ALONE
    assert "Traceback" not in complaint
    assert seconds < SLACK_SECONDS
    assert int(complaint.rpartition("peak=")[2].split()[0]) < MEMORY_KB


@pytest.mark.parametrize("server", DRIPPING)
def test_an_answer_has_its_time_as_a_whole(server: str) -> None:
    """K2, K9: one that comes byte by byte holds the thread no longer than one that does not come."""
    with a_bad_server(DRIPPING[server]) as url:
        answer = Transport(url, "k").post(PATH, b"{}", seconds=0.3)
    assert (answer.status, answer.error.partition(":")[0]) == (0, "TimeoutError")
