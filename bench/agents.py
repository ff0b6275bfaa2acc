"""What the library's agents cost beside LiteLLM and beside other frameworks, and how long its import takes, in one run.

The others are in an environment of their own (``make peers``); without it they are said to be missing, and left out.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".peers" / "bin" / "python"
FRAMEWORKS = ("langgraph", "openai-agents", "pydantic-ai")
CALLS = 11  # of the model, in a loop of ten tools
IMPORTS = 7
_IMPORT = "import time; t = time.perf_counter(); import {0}; print((time.perf_counter() - t) * 1e3)"


def import_ms(module: str) -> float:
    """In a process of its own, the median of some."""
    command = [sys.executable, "-c", _IMPORT.format(module)]
    return statistics.median(
        float(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
        for _ in range(IMPORTS)
    )


def loops_us() -> dict[str, float]:
    """Microseconds of one loop by framework, and of ``complete`` and the ``litellm`` call it makes; {} where there are no others."""
    if not PEERS.exists():
        return {}
    return _run("wflo", *FRAMEWORKS) | _run("complete", "litellm")


def _run(*names: str) -> dict[str, float]:
    command = [str(PEERS), "-m", "bench.agent_loops", *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found
