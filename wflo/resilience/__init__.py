"""The names of resilience under the home they have had elsewhere."""

from wflo.breakers import circuit_breaker, circuit_breaker_per_agent
from wflo.contention import detect_contention
from wflo.retry import with_retry

__all__ = ["circuit_breaker", "circuit_breaker_per_agent", "detect_contention", "with_retry"]
