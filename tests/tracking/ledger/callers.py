"""A process of many callers, for tests: ``python -m tests.tracking.ledger.callers JOB``, JOB a JSON object.

Says "ready", begins when a line comes in, and says what its callers were told as one line of JSON. Its Redis is nowhere.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

TRIES = 400  # while PostgreSQL is away


def main(job: dict[str, Any]) -> None:
    import django

    django.setup()
    work = {"reserve": reserve_once, "settle": settle_once, "mix": mix, "silence": fall_silent, "journal": keep_journal}
    does = work[job["does"]]
    told: list[Any] = []

    def run(number: int) -> None:
        from django.db import connection

        barrier.wait()
        try:
            told.append(does(job, number))
        except Exception as error:  # the test looks at what callers met
            told.append(f"{type(error).__name__}: {error}")
        finally:
            connection.close()

    barrier = threading.Barrier(job["threads"])
    threads = [threading.Thread(target=run, args=(number,)) for number in range(job["threads"])]
    say("ready")
    sys.stdin.readline()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    say(json.dumps(told))


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def do(statement: Any) -> Any:
    """The connection goes back to the pool, so that many threads share few."""
    from django.db import connection

    from tracking.ledger.perform import perform

    try:
        return perform(statement)
    finally:
        connection.close()


def _hold(team: int, id: UUID, usd: str, *, lease_ms: int = 60_000, **whose: Any) -> Any:
    from tracking.ledger.calls import Call, Ceiling
    from tracking.ledger.verbs import reserve

    call = Call(team_id=team, models=("m",), **whose)
    most = Ceiling(base_usd=Decimal(usd), output_usd=Decimal(0), base_tokens=10)
    return do(reserve(call, most, id=id, lease_ms=lease_ms))


def reserve_once(job: dict[str, Any], number: int) -> str:
    id = UUID(job["id"]) if "id" in job else uuid4()
    return str(_hold(job["team"], id, job["usd"]).outcome)


def settle_once(job: dict[str, Any], number: int) -> str:
    from tracking.ledger.calls import Actual
    from tracking.ledger.verbs import settle

    return str(do(settle(job["team"], UUID(job["id"]), Actual(usd=Decimal(job["usd"]), tokens=1))).outcome)


def mix(job: dict[str, Any], number: int) -> dict[str, int]:
    """Calls of any key, agent and user of several teams, that end in any way; also costs seen afterwards."""
    from django.utils.timezone import now

    from tracking.ledger.calls import Actual, Call, Charge
    from tracking.ledger.verbs import charge, dispatch, expire, extend, release, settle

    rng, told = random.Random(f"{job['seed']} {number}"), Counter[str]()
    for _ in range(job["rounds"]):
        team, id = rng.choice(job["teams"]), uuid4()
        whose = {
            "key_id": rng.choice("kl"),
            "agent": rng.choice("ab"),
            "user": rng.choice("uvw"),
            "run": rng.choice("rs"),
        }
        answer = _hold(team, id, rng.choice(["0.001", "0.05"]), lease_ms=rng.choice([1, 60_000]), **whose)
        told[answer.outcome] += 1
        if not answer.is_held:
            call = Call(team_id=team, models=("m",), **whose)
            do(charge(team, [Charge(call=call, at=now(), usd=Decimal("-0.002"), tokens=0)] * 2))
            continue
        do(dispatch([team], [id]))
        end = rng.randrange(4)
        if end == 0:
            told[do(extend(team, id, usd=Decimal("0.01"), tokens=3, lease_ms=1000)).outcome] += 1
        told[
            do(release(team, id) if end == 1 else settle(team, id, Actual(usd=Decimal("0.0007"), tokens=2))).outcome
        ] += 1
        if end == 2:
            do(expire())
    return dict(told)


def fall_silent(job: dict[str, Any], number: int) -> str:
    """Says that it holds, or that it has sent, and is never heard of again."""
    from tracking.ledger.verbs import dispatch

    id = UUID(job["id"])
    _hold(job["team"], id, job["usd"], lease_ms=job["lease_ms"])
    if job["is_sent"]:
        do(dispatch([job["team"]], [id]))
    say("silent")
    time.sleep(600)
    return "heard of"


def keep_journal(job: dict[str, Any], number: int) -> int:
    """One call after the other, each step until it is answered; says of every step that it was."""
    from tracking.ledger.calls import Actual, Outcome
    from tracking.ledger.verbs import dispatch, settle

    lost = 0
    for _ in range(job["rounds"]):
        id = uuid4()
        while True:
            outcome = _until_answered(lambda id=id: _hold(job["team"], id, "0.02")).outcome
            if outcome is Outcome.REFUSED:
                break
            if _until_answered(lambda id=id: do(dispatch([job["team"]], [id]))):
                say(f"sent {id}")
                _until_answered(lambda id=id: do(settle(job["team"], id, Actual(usd=Decimal("0.01"), tokens=1))))
                say(f"settled {id}")
                break
            lost += 1  # a crash took the hold: it is held for again, under its id
    return lost


def _until_answered(ask: Callable[[], Any]) -> Any:
    from django.db import DatabaseError

    for _ in range(TRIES):
        try:
            return ask()
        except DatabaseError:
            time.sleep(0.05)
        except Exception as error:  # the pool's, when no connection was to be had in time
            if type(error).__name__ not in ("PoolTimeout", "InterfaceError"):
                raise
    raise TimeoutError("PostgreSQL did not come back")


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "wflo_site.settings"
    main(json.loads(sys.argv[1]))
