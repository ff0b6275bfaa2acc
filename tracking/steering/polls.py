"""Polls: agents vote, from whatever process; ``wflo.voting`` counts. Closed when all have voted, or its time is over."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from tracking.errors import Conflict, Invalid, NotFound
from tracking.models import Poll, Team
from tracking.steering.payloads import words
from tracking.store_time import store_now
from wflo import voting
from wflo.voting import Result

CHOICE_CHARACTERS_MAX = 500


def open_poll(team: Team, asked: Mapping[str, Any]) -> tuple[Poll, bool]:
    """Put a question; and whether it is new: the same id again is the same poll. ``asked``: id, run, question, options, voters,
    weights, strategy, quorum, timeout_s. Raises Invalid naming the field."""
    voters, most = asked["voters"], settings.LIMITS["voters_per_poll"]
    if not 0 < len(voters) <= most or len(set(voters)) != len(voters):
        raise Invalid(f"A poll has 1 to {most} voters, each once.", field="voters")
    if not 0 < asked["timeout_s"] <= settings.LIMITS["poll_seconds"]:
        raise Invalid(
            f"A poll lasts more than 0 and at most {settings.LIMITS['poll_seconds']:,} seconds.", field="timeout_s"
        )
    try:
        voting.count({}, asked["strategy"], quorum=asked["quorum"], weights=asked["weights"])
    except ValueError as error:
        raise Invalid(str(error), field="strategy") from error
    now = store_now()
    return Poll.objects.get_or_create(
        team=team,
        id=asked.get("id") or uuid.uuid4(),
        defaults={
            "run": asked["run"] or "",
            "question": words(team, asked["question"], 2_000),
            "options": asked["options"],
            "voters": voters,
            "weights": asked["weights"],
            "strategy": asked["strategy"],
            "quorum": asked["quorum"],
            "created_at": now,
            "closes_at": now + timedelta(seconds=asked["timeout_s"]),
        },
    )


def vote(team: Team, id: uuid.UUID, voter: str, choice: str | None) -> Poll:
    """One vote; the same again changes nothing. Raises NotFound, Invalid, and Conflict for another vote, or one too late."""
    with transaction.atomic():
        poll = Poll.objects.select_for_update().filter(team=team, id=id).first()
        if poll is None:
            raise NotFound(f"This team has no poll {id}.")
        if voter not in poll.voters:
            raise Invalid(f"{voter} has no vote in this poll.", field="voter")
        if choice is not None and (
            len(choice) > CHOICE_CHARACTERS_MAX or (poll.options and choice not in poll.options)
        ):
            raise Invalid(f"The choices are {', '.join(poll.options) or 'short texts'}.", field="choice")
        if voter in poll.votes:
            if poll.votes[voter] == choice:
                return poll
            raise Conflict(f"{voter} has voted already.", field="voter")
        if is_closed(poll):
            raise Conflict("The poll is closed.", field="voter")
        poll.votes[voter] = choice
        poll.save(update_fields=["votes"])
    return poll


def find(team: Team, id: uuid.UUID) -> Poll:
    found = Poll.objects.filter(team=team, id=id).first()
    if found is None:
        raise NotFound(f"This team has no poll {id}.")
    return found


def is_closed(poll: Poll) -> bool:
    return len(poll.votes) == len(poll.voters) or poll.closes_at <= store_now()


def counted(poll: Poll) -> Result:
    """As it stands; who has not voted yet abstains."""
    votes = {voter: poll.votes.get(voter) for voter in poll.voters}
    return voting.count(votes, poll.strategy, weights=poll.weights, quorum=poll.quorum, choices=poll.options)
