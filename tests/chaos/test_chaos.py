"""B1 to B3, B7, B9 to B16 together: nothing is over a limit, free of charge or held for ever, whatever is killed meanwhile."""

from __future__ import annotations

import pytest

from tests.chaos.__main__ import table
from tests.chaos.run import run


@pytest.mark.timeout(600)
def test_the_money_holds_in_a_storm() -> None:
    result = run(11, seconds=20, clients=60)
    assert result.verdict.wrong == [], table(result)
    assert result.verdict.exact > 20, table(result)
    assert len(result.faults) >= 3, table(result)
    assert result.verdict.over_usd == 0
