"""An answer that fits a type: pydantic models, dataclasses, unions, enums, lists, whatever pydantic reads.

A provider that keeps to JSON schemas is given one; others are told it in words. An answer that does not fit is sent back
with what is wrong with it; after ``REPAIRS_MAX`` of those StructuredOutputError has the last one.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any, Generic, TypeVar

from wflo.agents import loop
from wflo.agents.errors import StructuredOutputError
from wflo.agents.loop import Outcome
from wflo.agents.model import Model, Request
from wflo.agents.retry import RetryConfig
from wflo.agents.steps import OnStep

T = TypeVar("T")

REPAIRS_MAX = 2
_FENCE = re.compile(r"```(?:json)?\s*(.*?)```", re.DOTALL)
_NAME = re.compile(r"[^A-Za-z0-9_-]+")


class Form(Generic[T]):
    """A type and how it is asked for. What is no object travels as one with the single field ``value``."""

    def __init__(self, of: Any) -> None:
        from pydantic import TypeAdapter, create_model  # costs an import only those who ask for a type

        self.of = of
        self._adapter: Any = TypeAdapter(of)
        self.name = _NAME.sub("_", getattr(of, "__name__", "") or "answer")[:64] or "answer"
        schema = self._adapter.json_schema()
        self.is_wrapped = not _is_object(schema)
        self._read: Any = TypeAdapter(create_model(self.name, value=(of, ...))) if self.is_wrapped else self._adapter
        self.schema = self._read.json_schema()

    @property
    def response_format(self) -> dict[str, Any]:
        strict = _strict(self.schema)
        told = {"name": self.name, "schema": self.schema if strict is None else strict, "strict": strict is not None}
        return {"type": "json_schema", "json_schema": told}

    @property
    def instruction(self) -> str:
        return f"Answer with one JSON value that fits this schema, and nothing else:\n{json.dumps(self.schema)}"

    def written(self, value: T) -> str:
        """As JSON, as the model would have said it."""
        text: bytes = self._adapter.dump_json(value)
        return text.decode()

    def read(self, text: str) -> T:
        """Raises ValueError saying what is wrong."""
        found = _json_in(text)
        if self.is_wrapped and not (isinstance(found, dict) and set(found) == {"value"}):
            found = {"value": found}
        try:
            value = self._read.validate_python(found) if not isinstance(found, str) else self._read.validate_json(found)
        except ValueError as error:  # pydantic's
            raise ValueError(_faults(error)) from None
        read: T = value.value if self.is_wrapped else value
        return read


async def answer_in(
    model: Model, request: Request, form: Form[T], *, takes_schemas: bool, retry: RetryConfig | None = None,
    on_step: OnStep | None = None,
) -> tuple[T, Outcome]:  # fmt: skip
    """Raises StructuredOutputError, LLMError."""
    messages = list(request.messages)
    if not takes_schemas:
        messages = [*messages[:-1], _instructed(messages[-1], form.instruction)]
    outcome = Outcome()
    for attempt in range(REPAIRS_MAX + 1):
        asked = replace(request, messages=messages, response_format=form.response_format if takes_schemas else None)
        found = await loop.run(model, asked, retry=retry, on_step=on_step)
        outcome = found.after(outcome)
        try:
            return form.read(found.text), outcome
        except ValueError as error:
            faults = str(error)
        if attempt < REPAIRS_MAX:
            repair = f"That does not fit: {faults}\n{form.instruction}"
            messages = [*messages, {"role": "assistant", "content": found.text}, {"role": "user", "content": repair}]
    raise StructuredOutputError(
        f"No answer of {REPAIRS_MAX + 1} fits {form.name}: {faults}", last_answer=outcome.text, faults=faults
    )


def _instructed(message: dict[str, Any], instruction: str) -> dict[str, Any]:
    content = message.get("content")
    if isinstance(content, list):
        return {**message, "content": [*content, {"type": "text", "text": instruction}]}
    return {**message, "content": f"{content}\n\n{instruction}"}


def _json_in(text: str) -> Any:
    """The JSON of an answer, also where words or a fence stand around it. Raises ValueError."""
    cleaned = text.strip()
    fenced = _FENCE.search(cleaned)
    for candidate in (cleaned, fenced[1].strip() if fenced else ""):
        try:
            return json.loads(candidate)
        except ValueError:
            continue
    decoder = json.JSONDecoder()
    for place, character in enumerate(cleaned):
        if character in "{[":
            try:
                return decoder.raw_decode(cleaned, place)[0]
            except ValueError:
                continue
    raise ValueError("there is no JSON in the answer" if cleaned else "the answer is empty")


def _is_object(schema: dict[str, Any]) -> bool:
    named = schema.get("$ref")
    if isinstance(named, str):
        schema = schema.get("$defs", {}).get(named.rpartition("/")[2], {})
    return schema.get("type") == "object" and "additionalProperties" not in schema or "properties" in schema


def _strict(schema: Any) -> Any:
    """The schema as strict providers want it: every field required, none beside them; None where it cannot be said so."""
    if isinstance(schema, list):
        parts = [_strict(one) for one in schema]
        return None if any(part is None for part in parts) else parts
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "object":
        properties = schema.get("properties")
        if (
            not isinstance(properties, dict)
            or set(schema.get("required") or ()) != set(properties)
            or schema.get("additionalProperties")
        ):
            return None
    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            made[key] = {name: _strict(one) for name, one in value.items()}
            if any(one is None for one in made[key].values()):
                return None
        elif key in ("items", "anyOf", "oneOf", "allOf", "prefixItems"):
            made[key] = _strict(value)
            if made[key] is None:
                return None
        else:
            made[key] = value
    if schema.get("type") == "object":
        made["additionalProperties"] = False
    return made


def _faults(error: Any) -> str:
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or 'the answer'}: {fault['msg']}" for fault in error.errors()[:20]
    )
