from wflo.breakers import Breaker, breaker, circuit_breaker, circuit_breaker_per_agent

__all__ = ["Breaker", "breaker", "circuit_breaker", "circuit_breaker_per_agent"]
