"""Calls that begin or end in the same moment share a statement, and nobody pays for a neighbour."""

from __future__ import annotations

import asyncio

import pytest

from tracking.errors import Unavailable
from tracking.gateway.together import MOST, Together


def test_who_asks_while_a_go_is_under_way_is_in_the_next() -> None:
    goes: list[list[int]] = []

    async def work(items: list[int]) -> list[int]:
        goes.append(items)
        await asyncio.sleep(0.01)
        return [item * 10 for item in items]

    async def main() -> list[int]:
        together = Together(work)
        first = asyncio.create_task(together.do(0))
        await asyncio.sleep(0.001)
        later = [asyncio.create_task(together.do(number)) for number in range(1, MOST + 3)]
        return list(await asyncio.gather(first, *later))

    assert asyncio.run(main()) == [number * 10 for number in range(MOST + 3)]
    assert [len(go) for go in goes] == [1, MOST, 2]


def test_a_go_that_fails_for_ones_sake_is_done_one_by_one() -> None:
    async def work(items: list[int]) -> list[int]:
        if 2 in items:
            raise ValueError("two")
        return items

    async def main() -> list[int | BaseException]:
        together = Together(work)
        return await asyncio.gather(*(together.do(number) for number in range(4)), return_exceptions=True)

    found = asyncio.run(main())
    assert [found[0], found[1], found[3]] == [0, 1, 3]
    assert isinstance(found[2], ValueError)


def test_all_hear_at_once_that_the_store_is_away() -> None:
    asked = []

    async def work(items: list[int]) -> list[int]:
        asked.append(items)
        raise Unavailable("The store is away.")

    async def main() -> None:
        together = Together(work)
        found = await asyncio.gather(*(together.do(number) for number in range(3)), return_exceptions=True)
        assert all(isinstance(one, Unavailable) for one in found)

    asyncio.run(main())
    assert asked == [[0, 1, 2]]


def test_who_goes_away_takes_nobody_with_him() -> None:
    async def work(items: list[int]) -> list[int]:
        await asyncio.sleep(0.01)
        return items

    async def main() -> int:
        together = Together(work)
        gone, stays = asyncio.create_task(together.do(1)), asyncio.create_task(together.do(2))
        await asyncio.sleep(0.001)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        return await stays

    assert asyncio.run(main()) == 2
