"""The example, as its head says to run it: through the gateway, each call counted once."""

from __future__ import annotations

from tests.frameworks import examples
from tests.frameworks.sights import Wflo


def test_the_example(wflo: Wflo) -> None:
    examples.check(wflo, "autogen_agent.py", checkpoints=["researcher", "writer"])
