"""Why a run of a job stops before its end. No Exception: neither an agent nor a pattern takes one for a failure of its own."""

from __future__ import annotations

from typing import Any
from uuid import UUID


class Stop(BaseException):
    """The run stops here."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class Lost(Stop):
    """The job is another worker's now, or nobody's."""


class Yielded(Stop):
    """The worker ends; another goes on."""


class Cancelled(Stop):
    """Somebody does not want it any more."""


class Broke(Stop):
    """A budget cannot pay for the next call."""

    def __init__(self, reason: str, details: dict[str, Any]) -> None:
        super().__init__(reason)
        self.details = details


class Waiting(Stop):
    """A person is asked first."""

    def __init__(self, reason: str, approval_id: UUID) -> None:
        super().__init__(reason)
        self.approval_id = approval_id


class Looped(Stop):
    """It went round in circles."""

    def __init__(self, reason: str, details: dict[str, Any]) -> None:
        super().__init__(reason)
        self.details = details


class Killed(Stop):
    """The run was stopped by somebody."""


class Diverged(Stop):
    """What is asked now is not what was asked before: a person must look."""


class Failed(Stop):
    """It cannot be done."""


class Again(Stop):
    """It may go well a moment later."""

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


class Held(Again):
    """Somebody holds it up, and nothing is wrong with it: later again, as often as it takes."""


def stop_in(error: BaseException) -> Stop | None:
    """The stop that an error is, or a group holds; a lost job before all others."""
    if isinstance(error, Stop):
        return error
    if isinstance(error, BaseExceptionGroup):
        found = [stop for one in error.exceptions if (stop := stop_in(one)) is not None]
        return min(found, key=lambda stop: not isinstance(stop, Lost)) if found else None
    return None
