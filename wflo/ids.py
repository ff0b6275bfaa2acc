"""Ids that follow from names alone, so that whoever tells of a run, and however often, means the same one."""

from __future__ import annotations

import os
import random
from hashlib import sha256
from uuid import uuid4


def new_run_id() -> str:
    return f"exec-{uuid4().hex}"


# Of our own, so that a host that seeds its random numbers does not give two processes the same ids; a child begins anew.
_random = random.Random()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.seed)


def new_span_id() -> str:
    """16 hex digits, not all zero."""
    return f"{_random.getrandbits(64) or 1:016x}"


def trace_id_of(run_id: str) -> str:
    """The trace id of a run that was given none: 32 hex digits."""
    return sha256(b"run\0" + run_id.encode()).hexdigest()[:32]


def root_span_id_of(run_id: str) -> str:
    return span_id_of(run_id, "root")


def span_id_of(run_id: str, name: str) -> str:
    """Sixteen hex digits are an id already; any other text gets one of its own within its run."""
    if len(name) == 16 and name.strip("0") and all(digit in "0123456789abcdefABCDEF" for digit in name):
        return name.lower()
    return sha256(b"span\0" + run_id.encode() + b"\0" + name.encode()).hexdigest()[:16]
