"""Addresses with one thing changed: a page's whole state is its query string."""

from __future__ import annotations

from collections.abc import Sequence

from django.http import QueryDict

Change = str | Sequence[str] | None


def changed(path: str, query: QueryDict, **changes: Change) -> str:
    """``path`` with ``query`` and the changes: a text or several replace what was there, None takes it out.

    A trailing underscore of a name is dropped, so that ``from_`` can be said.
    """
    asked = query.copy()
    for name, value in changes.items():
        name = name.removesuffix("_")
        if value is None:
            asked.pop(name, None)
        elif isinstance(value, str):
            asked[name] = value
        else:
            asked.setlist(name, list(value))
    text = asked.urlencode()
    return f"{path}?{text}" if text else path


def added(path: str, query: QueryDict, name: str, value: str) -> str:
    """One more value of a filter, each once."""
    values = query.getlist(name)
    return changed(path, query, **{name: values if value in values else [*values, value]})


def without(path: str, query: QueryDict, name: str, value: str) -> str:
    left = [one for one in query.getlist(name) if one != value]
    return changed(path, query, **{name: left or None})
