"""Ids that need to be unlike any other and nothing more: no trip to the kernel for each. Secrets are made in keys.py."""

from __future__ import annotations

import random  # seeded by the kernel, anew in every child process
import uuid


def uuid4() -> uuid.UUID:
    """A random UUID (RFC 9562, version 4)."""
    return uuid.UUID(int=random.getrandbits(128), version=4)


def uuid7(ms: int) -> uuid.UUID:
    """A UUID that sorts by its time, ``ms`` since 1970 (RFC 9562, version 7)."""
    bits = random.getrandbits(74)
    return uuid.UUID(int=(ms & (2**48 - 1)) << 80 | 7 << 76 | bits >> 62 << 64 | 2 << 62 | bits & (2**62 - 1))


def span_id() -> str:
    """16 hex digits, not all of them 0 (W3C Trace Context)."""
    return f"{random.getrandbits(64) or 1:016x}"


def chunk_number() -> int:
    """Of a payload row among its run's."""
    return random.getrandbits(63)
