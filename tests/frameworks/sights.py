"""What a framework's test looks at: the provider's bill, and the API of the running Wflo. Needs no more than ``wflo``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import wflo
from tests.frameworks.rates import INPUT_USD, OUTPUT_USD
from wflo.client import Client


class Bill:
    """The provider's own, from the moment this is made."""

    def __init__(self, path: Path) -> None:
        self._path, self._from = path, path.stat().st_size if path.exists() else 0

    def lines(self) -> list[dict[str, Any]]:
        """``model, input, output`` of each call that was answered."""
        with self._path.open() as file:
            file.seek(self._from)
            return [json.loads(line) for line in file]

    def cost_usd(self, model: str = "") -> Decimal:
        """Of all its calls, or of those of a model."""
        lines = [line for line in self.lines() if model in ("", line["model"])]
        return sum((line["input"] * INPUT_USD + line["output"] * OUTPUT_USD for line in lines), Decimal(0))


class Wflo:
    """The running one, as a reader of its API sees it."""

    def __init__(self, url: str, key: str) -> None:
        self.url, self.key = url, key
        self._client = Client(url, key, timeout_seconds=30)

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        wflo.flush(20)
        return self._client.get(path, **parameters)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._client.post(path, body)

    def run(self, id: str) -> dict[str, Any]:
        return self.get(f"/api/v1/runs/{quote(id, safe='')}")

    def spans(self, run: str, kind: str = "") -> list[dict[str, Any]]:
        """Of a run, the oldest first."""
        found = self.get(f"/api/v1/runs/{quote(run, safe='')}/spans", limit=500)["spans"]
        return [span for span in found if kind in ("", span["kind"])]

    def checkpoints(self, run: str) -> list[dict[str, Any]]:
        """Of a run, the oldest first."""
        found = self.get(f"/api/v1/runs/{quote(run, safe='')}/checkpoints", limit=500)["checkpoints"]
        return sorted(found, key=lambda one: int(one["version"]))

    def agent_costs(self, run: str) -> dict[str, Decimal]:
        """By agent, those of the run's spans that own a cost."""
        costs: dict[str, Decimal] = {}
        for span in self.spans(run):
            if span["cost_usd"] is not None:
                agent = str(span["agent"] or "")
                costs[agent] = costs.get(agent, Decimal(0)) + Decimal(str(span["cost_usd"]))
        return {agent: cost for agent, cost in costs.items() if cost}


def until(is_so: Callable[[], Any], *, seconds: float = 20) -> Any:
    """What the question gives once it is true, else its last answer."""
    ends_at = time.monotonic() + seconds
    while True:
        found = is_so()
        if found or time.monotonic() > ends_at:
            return found
        time.sleep(0.05)
