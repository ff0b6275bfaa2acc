"""Scripts that use a maker's own client: each scenario is a function, and what they saw is printed as one JSON object.

``python SCRIPT URL KEY [NAME...]``. Only the client itself and the standard library are imported, so that a script runs
in an environment of its own, whatever version of the client is there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

Scenario = Callable[[Any], Any]


def scenarios(module: dict[str, Any]) -> dict[str, Scenario]:
    return {name[3:]: one for name, one in module.items() if name.startswith("do_")}


def told(module: dict[str, Any], client: Any, names: list[str]) -> dict[str, Any]:
    """What each scenario returned, or what it raised."""
    every = scenarios(module)
    return {name: _seen(every[name], client) for name in names or every}


def _seen(scenario: Scenario, client: Any) -> Any:
    try:
        return scenario(client)
    except Exception as error:
        body = getattr(error, "body", None)
        inner = body.get("error", body) if isinstance(body, dict) else {}
        return {
            "raised": type(error).__name__,
            "status": getattr(error, "status_code", None),
            "code": inner.get("code") if isinstance(inner, dict) else None,
            "words": str(error)[:500],
        }


def run(module: dict[str, Any], make_client: Callable[[str, str], Any]) -> None:
    url, key, *names = sys.argv[1:]
    print(json.dumps(told(module, make_client(url, key), names)))  # noqa: T201  this is what it is for
