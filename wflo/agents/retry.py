"""When a failed call is made again. The only place that does: LiteLLM's own retries are off, so that they do not multiply."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

from wflo.agents.errors import LLMError
from wflo.agents.settings import settings

T = TypeVar("T")

log = logging.getLogger("wflo.agents")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryConfig:
    """At most ``max_attempts`` calls; before the n-th again ``multiplier`` * 2**n seconds, within ``min_wait`` and ``max_wait``."""

    max_attempts: int = 3
    min_wait: float = 2
    max_wait: float = 30
    multiplier: float = 1

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ValueError("max_attempts must be at least 1.")
        if not 0 <= self.min_wait <= self.max_wait:
            raise ValueError("min_wait must be from 0 to max_wait.")

    @classmethod
    def of_settings(cls) -> RetryConfig:
        """As the settings are now."""
        return cls(
            max_attempts=settings.retry_max_attempts,
            min_wait=min(settings.retry_min_wait, settings.retry_max_wait),
            max_wait=settings.retry_max_wait,
            multiplier=settings.retry_multiplier,
        )

    def wait_s(self, attempt: int, error: LLMError) -> float:
        """After failed attempt ``attempt``, from 1; as long as the provider asks for, where it does."""
        wanted = max(self.min_wait, self.multiplier * 2 ** (attempt - 1))
        return float(min(self.max_wait, max(wanted, error.retry_after_s or 0)))


async def retried(call: Callable[[], Awaitable[T]], config: RetryConfig | None = None) -> T:
    """Raises LLMError: the last attempt's, or the first that nobody can put right by trying again."""
    config = config or RetryConfig.of_settings()
    for attempt in count(1):
        try:
            return await call()
        except LLMError as error:
            if not error.is_retryable or attempt >= config.max_attempts:
                raise
            pause_s = config.wait_s(attempt, error)
            log.warning("attempt %d of %d failed: %s; again in %.1f s", attempt, config.max_attempts, error, pause_s)
        await asyncio.sleep(pause_s)
    raise AssertionError
