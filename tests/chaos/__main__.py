"""python -m tests.chaos [--seed N] [--seconds S] [--clients N] [--jobs N]"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter

from tests.chaos import jobs as jobs_in_a_storm
from tests.chaos.jobs import JobsVerdict
from tests.chaos.run import Result, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="A storm, and its judgement.")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=0, help="agent jobs instead of clients")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)  # noqa: T201
    if given.jobs:
        jobs = jobs_in_a_storm.run(given.seed, seconds=given.seconds, jobs=given.jobs)
        print(jobs_table(jobs))  # noqa: T201
        return 1 if jobs.wrong else 0
    result = run(given.seed, seconds=given.seconds, clients=given.clients)
    print(table(result))  # noqa: T201
    return 1 if result.verdict.wrong else 0


def jobs_table(verdict: JobsVerdict) -> str:
    lines = [
        ("jobs by status", ", ".join(f"{status}: {number}" for status, number in sorted(verdict.statuses.items()))),
        ("killed or restarted", ", ".join(f"{what} x{n}" for what, n in sorted(Counter(verdict.faults).items()))),
        ("steps done, each once", f"{verdict.steps:,}"),
        ("begun more than once, and told so", f"{verdict.again:,}"),
        ("calls on the provider's bill", f"{verdict.calls:,}, {verdict.billed_usd} USD"),
        ("wrong", "\n".join(verdict.wrong) or "nothing"),
    ]
    return "\n".join(f"{name:44}{value}" for name, value in lines)


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
