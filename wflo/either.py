"""Results that are there at once and may be awaited all the same: agents are written both ways.

breakdown = flow.get_cost_breakdown()
breakdown = await flow.get_cost_breakdown()
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")
K = TypeVar("K")


class EitherDict(dict[K, T]):
    def __await__(self) -> Generator[None, None, EitherDict[K, T]]:
        return self
        yield


class EitherList(list[T]):
    def __await__(self) -> Generator[None, None, EitherList[T]]:
        return self
        yield


class Either(Generic[T]):
    """Any other value; ``value`` is it, and so is what awaiting gives. True and equal as the value is."""

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value

    def __await__(self) -> Generator[None, None, T]:
        return self.value
        yield

    def __bool__(self) -> bool:
        return bool(self.value)

    def __eq__(self, other: object) -> bool:
        return self.value == (other.value if isinstance(other, Either) else other)

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return repr(self.value)


def either(value: Any) -> Any:
    """``value``, awaitable."""
    if isinstance(value, dict):
        return EitherDict(value)
    if isinstance(value, list):
        return EitherList(value)
    return Either(value)
