"""The example, as its head says to run it: through the gateway, each call counted once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

from tests.frameworks.sights import Wflo, until

ROOT = Path(__file__).resolve().parent.parent.parent.parent


def test_the_example(wflo: Wflo) -> None:
    before = _spent(wflo)
    environ = {**os.environ, "WFLO_ENDPOINT": wflo.url, "WFLO_API_KEY": wflo.key}
    done = subprocess.run(
        [sys.executable, "examples/langgraph_agent.py"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    costs = {name: Decimal(cost) for name, cost in re.findall(r"^(\w+): \$(\S+) in", done.stdout, re.MULTILINE)}
    assert set(costs) == {"researcher", "writer"}
    assert "checkpoints: ['researcher', 'writer']" in done.stdout
    assert "only writer was run" in done.stdout
    run, again = re.findall(r"(?:run:|was run:) (\S+)", done.stdout)
    until(lambda: len([one for one in wflo.spans(run, "llm") if one["cost_usd"]]) > 2)
    assert wflo.agent_costs(run) == costs
    assert Decimal(str(wflo.run(run)["cost_usd"])) == sum(costs.values())
    whole = sum(costs.values()) + sum(wflo.agent_costs(again).values())
    assert until(lambda: _spent(wflo) - before == whole), (_spent(wflo) - before, whole)


def _spent(wflo: Wflo) -> Decimal:
    """By the whole team: the gateway's records and the library's are one."""
    return Decimal(str(wflo.get("/api/v1/usage", group_by="agent")["totals"]["cost_usd"] or 0))
