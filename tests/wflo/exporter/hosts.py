"""Programs that use the library, each in a process of its own, as hosts do."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time

from tests.server import ROOT
from tests.wflo.exporter.receiver import Receiver

SLACK_SECONDS = 6.0  # a bound of 2 s on a machine with other work to do
HOST = """
import os, signal, sys, threading, time
import wflo
from wflo import track_tool_call

@track_tool_call
def work(number):
    return number

"""
PATIENT = "wflo.configure(exit_seconds=30)  # this machine has other work to do"
TEN = """
for number in range(10):
    work(number)
print("done", flush=True)
os.close(1)
"""


def host(script: str, endpoint: str, **variables: str) -> subprocess.Popen[str]:
    """A program that has ``work``, a tool that is watched, and then does as ``script`` says."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("WFLO_")}
    environ |= {"WFLO_ENDPOINT": endpoint, "WFLO_API_KEY": "k", "PYTHONPATH": str(ROOT), **variables}
    return subprocess.Popen(
        [sys.executable, "-c", HOST + textwrap.dedent(script)], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ended(process: subprocess.Popen[str], *, code: int = 0) -> tuple[str, str, float]:
    """(what it said, what it complained of, seconds from its last word to its end)."""
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        said = process.stdout.read()
        began = time.monotonic()
        complaint = process.stderr.read()
        assert process.wait(60) == code, complaint
        return said, complaint, time.monotonic() - began


def tools(receiver: Receiver) -> list[int]:
    """What ``work`` gave, of all its calls that arrived."""
    return sorted(
        event["output"] for event in receiver.events if event.get("span_kind") == "tool" and event["kind"] == "span.end"
    )
