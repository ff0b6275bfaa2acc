"""The tasks of a crew that is executed: a checkpoint after each, and going on from one without doing a task twice.

CrewAI goes through a crew's tasks from the first on; a task that was done before the checkpoint answers at once with the
output it had.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from crewai.tasks.task_output import TaskOutput

from wflo import checkpoints, recording
from wflo.errors import CheckpointError
from wflo.runs import Run

log = logging.getLogger("wflo")
KEY = "crewai"  # of a checkpoint's state: the tasks that are done


class Turns:
    """The tasks of a crew, and which of them are done. Raises CheckpointError for a state of another crew.

    Knows nothing of the run it is kept for, which is let go when nobody else holds it.
    """

    def __init__(self, crew: Any, inputs: Any, done: list[Any], *, is_saved: bool = True) -> None:
        self._crew, self._inputs, self._is_saved = crew, inputs, is_saved
        self._keys = [task.key for task in crew.tasks]
        self._done: dict[int, dict[str, Any]] = {}
        self._had: dict[int, TaskOutput] = {}
        self._lock = threading.Lock()
        for told in done:
            self._take(told)

    def _take(self, told: Any) -> None:
        try:
            place = int(told["place"])
            if self._keys[place] != told["key"]:
                raise CheckpointError(f'Task {place + 1} of the crew is not the "{told["task"]}" of the checkpoint.')
            self._had[place] = _output(self._crew.tasks[place], told)
            self._done[place] = dict(told)
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"The crew cannot go on from this checkpoint: {error}") from error

    def had(self, task: Any) -> TaskOutput | None:
        """The output of a task that was done before the checkpoint; it has it from now on."""
        output = self._had.get(self._place(task))
        if output is not None:
            task.output = output
        return output

    def ended(self, run: Run, task: Any, agent: str, output: TaskOutput) -> None:
        """Save a checkpoint, named after the task where it has a name, else after who did it."""
        place = self._place(task)
        if place < 0:  # a task within a task, such as one that was handed to a coworker
            return
        try:
            told = {"place": place, "key": self._keys[place], "task": task.name or "", **_told(output)}
            with self._lock:
                self._done[place] = told
                state = {"inputs": self._inputs, KEY: [self._done[one] for one in sorted(self._done)]}
                if self._is_saved:
                    checkpoints.save(run, task.name or agent, state, agent=agent)
        except CheckpointError as error:
            log.warning("%s", error)
        except Exception as error:
            recording.told("crewai checkpoint", error)

    def _place(self, task: Any) -> int:
        return next((place for place, one in enumerate(self._crew.tasks) if one is task), -1)


_turns: WeakKeyDictionary[Run, Turns] = WeakKeyDictionary()


def of(run: Run) -> Turns | None:
    """Those of the crew that the run executes."""
    return _turns.get(run)


def begin(run: Run, turns: Turns) -> None:
    _turns[run] = turns


def _told(output: TaskOutput) -> dict[str, Any]:
    told = {"agent": output.agent, "description": output.description, "raw": output.raw, "json": output.json_dict}
    fields = None if output.pydantic is None else output.pydantic.model_dump(mode="json")
    return {**told, "format": output.output_format.value, "fields": fields}


def _output(task: Any, told: Mapping[str, Any]) -> TaskOutput:
    fields, model = told.get("fields"), task.output_pydantic
    return TaskOutput(
        name=task.name or task.description,
        description=told["description"],
        expected_output=task.expected_output,
        raw=told["raw"],
        json_dict=told.get("json"),
        pydantic=None if fields is None or model is None else model.model_validate(fields),
        agent=told["agent"],
        output_format=told.get("format") or "raw",
    )
