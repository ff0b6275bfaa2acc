"""What a run has done already, and what it does now: a step that is there is read, another is made and kept.

A step is known by its place (places.py): the agent, the conversation, the how manieth in it. While a run is done again, what it asks
is what it asked before; where that is not so, it stops for a person to look, before anything is paid for twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from tracking.checkpoints import store
from tracking.checkpoints.new import NewCheckpoint
from tracking.gateway.threads import in_thread
from tracking.models import Team
from tracking.queue import steps
from tracking.queue.claims import Claim
from tracking.queue.places import digest
from tracking.queue.steps import Begin, Done, Kept
from tracking.queue.stops import Diverged, Failed, Stop
from tracking.redaction import redactor

MODEL, TOOL = "model", "tool"


@dataclass(slots=True)
class Journal:
    """``is_strict``: its steps come one after another, so none that was done can be left out."""

    team: Team
    claim: Claim
    run: str
    steps_max: int
    is_strict: bool
    edits: Mapping[int, list[dict[str, Any]]] = field(
        default_factory=dict
    )  # the messages it goes on from, after that step
    known: dict[bytes, Kept] = field(default_factory=dict)
    position: int = 0
    stop: Stop | None = None  # wanted from outside, at the next step
    _used: set[bytes] = field(default_factory=set)

    @classmethod
    async def opened(cls, team: Team, claim: Claim, run: str, **more: Any) -> Journal:
        found, edits = await in_thread(lambda: (steps.of_run(team.pk, run), steps.edits_of(team.pk, run)))
        journal = cls(team, claim, run, edits=edits, **more)
        journal.known = {step.key: step for step in found}
        journal.position = max((step.position or 0 for step in found), default=0)
        return journal

    @property
    def is_reading(self) -> bool:
        """Whether steps that were done before are still to be read."""
        return any(step.position is not None and key not in self._used for key, step in self.known.items())

    # --- what was done before -----------------------------------------------------------------------------------------

    def done(self, key: bytes, input_hash: bytes) -> Kept | None:
        """The step of that place, if it was done. Raises Diverged when it was asked something else then."""
        step = self.known.get(key)
        if step is None or step.position is None:
            return None
        if step.input_hash != input_hash:
            raise Diverged(
                f"Step {step.position} ({step.kind} {step.name} of {step.agent}) is asked something else now than when it was done."
                " The agent's tools or Wflo itself changed since; roll back to a checkpoint before it, or start the job anew."
            )
        self._used.add(key)
        return step

    def edit_after(self, step: Kept) -> list[dict[str, Any]] | None:
        """The messages that somebody put in place of those after this step, where the run, or one before it, went back to it."""
        return self.edits.get(step.position or 0)

    def _demand_all_used(self) -> None:
        """Before anything is paid for: in a run whose steps follow one another none is left behind."""
        if not self.is_strict:
            return
        left = [
            step for key, step in self.known.items() if step.kind == MODEL and step.position and key not in self._used
        ]
        if left:
            first = min(left, key=lambda step: step.position or 0)
            raise Diverged(
                f"Step {first.position} ({first.name} of {first.agent}) was done before and is not asked for any more:"
                " what this agent does changed since. Roll back to a checkpoint before it, or start the job anew."
            )

    # --- what is done now ---------------------------------------------------------------------------------------------

    async def begun(self, step: Begin) -> int:
        """Note that a step is under way; how manieth try. Raises Stop."""
        if self.stop is not None:
            raise self.stop
        self._demand_all_used()
        if self.position >= self.steps_max:
            raise Failed(f"The job has done the {self.steps_max} steps it may do.")
        return await in_thread(lambda: steps.begin(self.claim, step))

    async def kept(self, step: Begin, done: Done, messages: list[dict[str, Any]], *, pattern: str) -> Kept:
        """Keep it, and the state after it. Raises Lost."""
        checkpoint = self._checkpoint(f"{step.kind} {step.name}", step, messages, pattern)
        position = await in_thread(lambda: steps.end(self.claim, step, done, checkpoint))
        self.position = max(self.position, position)
        row = Kept(
            run=self.run, key=step.key, position=position, kind=step.kind, agent=step.agent, name=step.name, lane=step.lane,
            ordinal=step.ordinal, input_hash=step.input_hash, arguments=step.arguments, effect=step.effect,
            has_undo=step.has_undo, undone_at=None, undo_error="", output=done.output, is_error=done.is_error, input_tokens=done.input_tokens,
            output_tokens=done.output_tokens, cost_usd=done.cost_usd, call_id=step.call_id, span_id=step.span_id, tries=1,
            checkpoint_id=checkpoint.id, begun_at=datetime.now(UTC), ended_at=None, is_inherited=False,
        )  # fmt: skip
        self.known[step.key] = row
        self._used.add(step.key)
        return row

    def _checkpoint(self, name: str, step: Begin, messages: list[dict[str, Any]], pattern: str) -> NewCheckpoint:
        state = {
            "position": 0, "kind": step.kind, "agent": step.agent, "name": step.name, "lane": step.lane.hex(), "pattern": pattern,
            "messages": messages,
        }  # fmt: skip
        return NewCheckpoint(
            team_id=self.team.pk, run=self.run, state=state, redaction=self.team.redaction, id=uuid4(), name=name, agent=step.agent,
            step=str(step.ordinal + 1), span_id=step.span_id, source="queue",
        )  # fmt: skip

    async def marked(self, name: str, agent: str, state: Mapping[str, Any]) -> UUID:
        """A checkpoint that no step made: a turn is over, a stage was passed. It stands where the last step stood."""
        new = NewCheckpoint(
            team_id=self.team.pk, run=self.run, state={"position": self.position, **state}, redaction=self.team.redaction,
            name=name, agent=agent, source="queue",
        )  # fmt: skip
        return (await in_thread(lambda: store.save(new))).id

    def hash_of(self, value: Any) -> bytes:
        """Of what a step is asked, as it is stored: without secrets."""
        return digest(value, redactor(self.team.redaction).body)
