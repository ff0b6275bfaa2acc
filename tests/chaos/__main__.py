"""python -m tests.chaos [--seed N] [--seconds S] [--clients N]"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter

from tests.chaos.run import Result, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="A storm, and its judgement.")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=200)
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)  # noqa: T201
    result = run(given.seed, seconds=given.seconds, clients=given.clients)
    print(table(result))  # noqa: T201
    return 1 if result.verdict.wrong else 0


def table(result: Result) -> str:
    verdict = result.verdict
    lines = [
        ("answers by status", ", ".join(f"{status}: {number}" for status, number in sorted(result.statuses.items()))),
        ("killed or restarted", ", ".join(f"{what} x{n}" for what, n in sorted(Counter(result.faults).items()))),
        ("calls on the provider's bill", f"{verdict.calls_billed:,}, {verdict.billed_usd} USD"),
        ("the ledger", f"{verdict.ledger_usd} USD"),
        ("of its calls exact to the last digit", f"{verdict.exact:,}"),
        ("the provider did not say, or broke off", f"{verdict.estimated:,}"),
        ("died under way: entered at the most", f"{verdict.expired:,}"),
        ("beyond a limit", f"{verdict.over_usd} USD"),
        ("answered afterwards, until the money ended", f"{result.rest:,}"),
        ("wrong", "\n".join(verdict.wrong) or "nothing"),
    ]
    return "\n".join(f"{name:44}{value}" for name, value in lines)


if __name__ == "__main__":
    sys.exit(main())
