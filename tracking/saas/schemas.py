"""What these clients send. Fields they leave out they also send as null; fields nobody knows are passed over."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, model_validator

Metadata = dict[str, Any]
Id = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[-a-zA-Z0-9_]+$")]


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must be printable text in one line")
    return value


Line = Annotated[str, Field(max_length=200), AfterValidator(_printable)]

# What of a call goes to the model as it is.
PASSED = (
    "messages", "temperature", "max_tokens", "response_format", "tools", "tool_choice", "top_p", "frequency_penalty",
    "presence_penalty", "stop",
)  # fmt: skip


class NewJob(BaseModel):
    team_id: Id
    job_type: Annotated[Line, Field(min_length=1, max_length=100)]
    user_id: Annotated[str, Field(max_length=256)] | None = None
    metadata: Metadata | None = None
    external_task_id: Line | None = None


class ModelCall(BaseModel):
    """What both kinds of calls have."""

    messages: Annotated[list[dict[str, Any]], Field(min_length=1)]
    purpose: Line | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = 0.7
    max_tokens: Annotated[int, Field(gt=0)] | None = None
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    stop: list[str] | str | None = None
    call_metadata: Metadata | None = None

    def body(self) -> dict[str, Any]:
        """The fields of the call that were given, for the model."""
        return {name: value for name in PASSED if (value := getattr(self, name)) is not None}


class LlmCall(ModelCall):
    """``model_group`` was the field's first name, ``model`` its later one."""

    model_group: Line | None = None
    model: Line | None = None

    @property
    def group(self) -> str:
        return self.model_group or self.model or ""

    @model_validator(mode="after")
    def _named(self) -> LlmCall:
        if not self.group:
            raise ValueError("give model_group, or model")
        return self


class CreateAndCall(LlmCall):
    team_id: Id
    job_type: Annotated[Line, Field(min_length=1, max_length=100)]
    user_id: Annotated[str, Field(max_length=256)] | None = None
    job_metadata: Metadata | None = None


class Completion(BaseModel):
    status: Annotated[str, Field(max_length=20)]
    error_message: str | None = None
    metadata: Metadata | None = None


class MetadataChange(BaseModel):
    metadata: Metadata
