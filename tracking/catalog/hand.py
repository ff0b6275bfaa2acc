"""Who acts on the catalogue, and what only operators may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from django.db import transaction

from tracking.audit import Actor
from tracking.errors import NotAllowed
from tracking.gateway import routing
from tracking.keys import Caller
from tracking.models import User


@dataclass(frozen=True, slots=True)
class Hand:
    """``is_operator``: a person who runs this installation, or a key of theirs. All others act for one team."""

    actor: Actor
    is_operator: bool = False

    @classmethod
    def of(cls, user: User, *, request_id: str = "") -> Self:
        return cls(Actor.of(user, request_id=request_id), user.is_superuser)

    @classmethod
    def of_key(cls, caller: Caller, *, request_id: str = "") -> Self:
        return cls(caller.actor(request_id=request_id), caller.is_operator)

    def demand_operator(self, what: str) -> None:
        """Raises NotAllowed. ``what`` ends the sentence "Only an operator of this installation ..."."""
        if not self.is_operator:
            raise NotAllowed(f"Only an operator of this installation {what}.")


def forget_routes() -> None:
    """After the commit this process looks names up anew; the others do so within LIMITS["route_cache_seconds"]."""
    transaction.on_commit(routing.forget)
