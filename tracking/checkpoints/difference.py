"""What two states differ in, as a person reads it: paths that were added, taken away or changed; lists that only grew say so."""

from __future__ import annotations

from typing import Any

CHANGES_MAX = 500
ABSENT = object()


def difference(one: Any, other: Any) -> list[dict[str, Any]]:
    """``{"path", "change": added removed changed appended, "before", "after"}``, in the order of the paths; CHANGES_MAX at most."""
    found: list[dict[str, Any]] = []
    _compare(one, other, "", found)
    return found[:CHANGES_MAX]


def _compare(one: Any, other: Any, path: str, found: list[dict[str, Any]]) -> None:
    if len(found) > CHANGES_MAX:
        return
    if isinstance(one, dict) and isinstance(other, dict):
        for name in [*one, *(name for name in other if name not in one)]:
            _compare(one.get(name, ABSENT), other.get(name, ABSENT), f"{path}.{name}" if path else str(name), found)
        return
    if isinstance(one, list) and isinstance(other, list):
        if len(other) > len(one) and other[: len(one)] == one:
            found.append({"path": path, "change": "appended", "before": None, "after": other[len(one) :]})
            return
        for place in range(max(len(one), len(other))):
            before = one[place] if place < len(one) else ABSENT
            after = other[place] if place < len(other) else ABSENT
            _compare(before, after, f"{path}[{place}]", found)
        return
    if type(one) is type(other) and one == other:
        return
    change = "added" if one is ABSENT else "removed" if other is ABSENT else "changed"
    before, after = (None if value is ABSENT else value for value in (one, other))
    found.append({"path": path, "change": change, "before": before, "after": after})
