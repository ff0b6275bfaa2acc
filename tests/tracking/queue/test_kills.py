"""Workers that are killed: whatever the moment, the job goes on, and no step that was done is paid for again."""

from __future__ import annotations

import pytest

from tests.tracking.queue.conftest import Yard

STEPS = 15  # calls of a tool, each after an answer: with the last answer 31 steps
ALL = 2 * STEPS + 1


def test_a_worker_killed_at_every_boundary(yard: Yard) -> None:
    """J13: thirty workers die, each right after another step is kept; the provider is asked once for each answer."""
    job = yard.submit(yard.walker(STEPS))
    yard.workers.die("kept", 1, ALL - 1)
    yard.workers.start()
    yard.done(job)
    steps = yard.steps(job)
    assert [step.position for step in steps] == list(range(1, ALL + 1))
    assert {step.tries for step in steps} == {1}
    assert job.output.strip() == str(STEPS)
    assert len(yard.gateway.provider.bill) == STEPS + 1
    assert yard.cost(job) == yard.gateway.billed()


@pytest.mark.parametrize("moment", ["asked", "answered"])
def test_a_worker_killed_within_a_step_is_told(moment: str, yard: Yard) -> None:
    """J12: nobody knows what the provider took, so the step is made again and says so."""
    job = yard.submit(yard.walker(2))
    yard.workers.die(moment, 3, 3)
    yard.workers.start()
    yard.done(job)
    assert [step.tries for step in yard.steps(job)] == [1, 1, 2, 1, 1]
    asked = len(yard.gateway.provider.bill)
    assert asked == 3 + (moment == "answered")
