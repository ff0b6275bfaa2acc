"""An example, as its head says to run it: through the gateway, each call counted once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

from tests.frameworks.sights import Wflo, until

ROOT = Path(__file__).resolve().parent.parent.parent


def check(wflo: Wflo, file: str, *, checkpoints: list[str]) -> None:
    """A researcher and a writer, then the writer again: the costs that are printed, those of the runs and the team's are one."""
    before = _spent(wflo)
    environ = {**os.environ, "WFLO_ENDPOINT": wflo.url, "WFLO_API_KEY": wflo.key}
    done = subprocess.run(
        [sys.executable, f"examples/{file}"], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    costs = {name: Decimal(cost) for name, cost in re.findall(r"^(\w+): \$(\S+) in", done.stdout, re.MULTILINE)}
    assert set(costs) == {"researcher", "writer"}
    assert f"checkpoints: {checkpoints}" in done.stdout
    assert "only writer was run" in done.stdout
    run, again = re.findall(r"(?:run:|was run:) (\S+)", done.stdout)
    until(lambda: sum(wflo.agent_costs(run).values()) == sum(costs.values()))
    assert wflo.agent_costs(run) == costs
    assert Decimal(str(wflo.run(run)["cost_usd"])) == sum(costs.values())
    whole = sum(costs.values()) + sum(wflo.agent_costs(again).values())
    assert until(lambda: _spent(wflo) - before == whole), (_spent(wflo) - before, whole)


def _spent(wflo: Wflo) -> Decimal:
    """By the whole team: the gateway's records and the library's are one."""
    return Decimal(str(wflo.get("/api/v1/usage", group_by="agent")["totals"]["cost_usd"] or 0))
