"""B1 to B3, B7, B9 to B16 together: nothing is over a limit, free of charge or held for ever, whatever is killed meanwhile."""

from __future__ import annotations

import pytest

from tests.chaos import jobs
from tests.chaos.__main__ import jobs_table, table
from tests.chaos.run import run


@pytest.mark.timeout(600)
def test_the_money_holds_in_a_storm() -> None:
    result = run(11, seconds=20, clients=60)
    assert result.verdict.wrong == [], table(result)
    assert result.verdict.exact > 20, table(result)
    assert len(result.faults) >= 3, table(result)
    assert result.verdict.over_usd == 0


@pytest.mark.timeout(600)
def test_jobs_come_to_their_end_in_a_storm() -> None:
    """J4, J6, J7, J31, J33, J35"""
    verdict = jobs.run(7, seconds=20, jobs=30)
    assert verdict.wrong == [], jobs_table(verdict)
    assert len(verdict.faults) >= 3, jobs_table(verdict)
