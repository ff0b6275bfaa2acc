"""A script in the making: what users say, what agents ask and call, where a person sees the loop."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

ASSISTANT = "You are a helpful assistant with tools. Think step by step and use the tools you need."
NAMES = ("Ada", "Boole", "Curie", "Dirac", "Euler", "Fermi", "Gauss", "Hopper")
NAMES += ("Ising", "Joule", "Kepler", "Lovelace", "Maxwell", "Noether", "Ohm", "Pauli")
VOCABULARY = re.findall(
    r"\w+",
    "market revenue growth battery storage price supply demand policy grid solar wind turbine capacity cost report region "
    "quarter forecast carbon transport vehicle charging steel cement hydrogen export import subsidy auction contract "
    "pipeline permit offshore onshore investor margin inventory logistics port",
)
Script = dict[str, Any]


class Trace:
    """A script in the making."""

    def __init__(self, name: str, framework: str = "", *, talk: str = "own", **agents: str) -> None:
        self.name, self.framework, self.talk = name, framework, talk
        self.agents = agents or {"assistant": ASSISTANT}
        self.events: list[dict[str, Any]] = []
        self.asks = 0
        self.loop_at: int | None = None
        self.random = random.Random(name)

    @property
    def only(self) -> str:
        return next(iter(self.agents))

    def user(self, text: str, to: str | None = None) -> Trace:
        self.events.append({"user": text} | ({"to": to} if to else {}))
        return self

    def say(self, text: str, agent: str | None = None, **more: Any) -> Trace:
        self.asks += 1
        self.events.append({"ask": agent or self.only, "text": text, **more})
        return self

    def tool(
        self, name: str, arguments: Any, result: Any, agent: str | None = None, *, text: str | None = None, **more: Any
    ) -> Trace:
        return self.tools([(name, arguments, result)], agent, text=text, **more)

    def tools(self, runs: list[tuple[str, Any, Any]], agent: str | None = None, **more: Any) -> Trace:
        """One answer that calls these; its error flags in ``errors``."""
        self.asks += 1
        more = {key: value for key, value in more.items() if value is not None}
        self.events.append(
            {
                "ask": agent or self.only,
                "calls": [[name, arguments] for name, arguments, _ in runs],
                "results": [result for _, _, result in runs],
                **more,
            }
        )
        return self

    def new(self, agent: str | None = None) -> Trace:
        self.events.append({"new": agent or self.only})
        return self

    def together(self, asks: list[dict[str, Any]]) -> Trace:
        self.asks += len(asks)
        self.events.append({"together": asks})
        return self

    def sleep(self, seconds: float) -> Trace:
        self.events.append({"sleep": seconds})
        return self

    def here(self) -> Trace:
        self.loop_at = self.asks
        return self

    def uuid(self) -> str:
        return str(UUID(int=self.random.getrandbits(128), version=4))

    def words(self, count: int) -> str:
        return " ".join(self.random.choice(VOCABULARY) for _ in range(count))

    def written(self) -> Script:
        script: Script = {"name": self.name, "loop_at": self.loop_at, "framework": self.framework}
        if self.talk != "own":
            script["talk"] = self.talk
        return script | {"agents": self.agents, "events": self.events}


def repeat(trace: Trace, times: int, loop_at_pass: int, step: Callable[[int], object]) -> Trace:
    """``step`` again and again; a person sees the loop at the end of the pass of this number."""
    for number in range(1, times + 1):
        step(number)
        if number == loop_at_pass:
            trace.here()
    return trace
