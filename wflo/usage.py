"""Token usage of one model call, in inclusive buckets, and its cost from dated rates.

Inclusive means: ``input_tokens`` counts cached reads and cache writes too, ``output_tokens`` counts reasoning too.
Every emitter is brought to this one convention when it is read, so that sums never need to know who reported.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one call. ``None`` is unknown, never zero."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None  # all cache writes, whatever their lifetime
    cache_write_1h_tokens: int | None = None  # the part of cache_write_tokens kept for an hour
    reasoning_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    image_input_tokens: int | None = None
    image_output_tokens: int | None = None
    service_tier: str | None = None  # as the provider names it: default, flex, priority, batch

    @property
    def total_tokens(self) -> int | None:
        if self.input_tokens is None and self.output_tokens is None:
            return None
        return (self.input_tokens or 0) + (self.output_tokens or 0)

    @property
    def is_known(self) -> bool:
        """Whether there is anything to count: one of the two totals is known."""
        return self.input_tokens is not None or self.output_tokens is not None
