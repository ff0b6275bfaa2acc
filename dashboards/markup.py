"""What was said, as HTML. On the hot path: Django's ``format_html`` asks each value whether it is a lazy translation."""

from __future__ import annotations

from html import escape


def escaped(value: object) -> str:
    """Fit for content and for attributes in double quotes; what is markup already stays as it is."""
    return str(value) if hasattr(value, "__html__") else escape(str(value))
