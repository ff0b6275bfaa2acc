"""Errors as FastAPI writes them: {"detail": "<text>"}, and for a wrong field a list with its place."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from tracking.errors import Invalid, InvalidCall, JobEnded, NotAllowed, UpstreamFailed, WfloServerError

NO_MODEL = "model_not_found"


def status_of(error: WfloServerError) -> int:
    if isinstance(error, UpstreamFailed):
        return 500
    if error.code == NO_MODEL:
        return NotAllowed.status
    if isinstance(error, Invalid | InvalidCall):
        return 422 if error.field else 400
    return error.status


def body_of(error: WfloServerError) -> dict[str, Any]:
    if isinstance(error, UpstreamFailed):
        return {"detail": f"LLM call failed: {error.message}"}
    if isinstance(error, Invalid | InvalidCall) and error.field and error.code != NO_MODEL:
        place = ["body", *error.field.split(".")]
        return {"detail": [{"loc": place, "msg": error.message, "type": "value_error"}]}
    if isinstance(error, JobEnded):
        return {"detail": error.message, **error.details}
    return {"detail": error.message}


def body_of_validation(errors: list[dict[str, Any]]) -> dict[str, Any]:
    return {"detail": [{"loc": list(one["loc"]), "msg": one["msg"], "type": one["type"]} for one in errors]}


def errors_of(error: ValidationError) -> list[dict[str, Any]]:
    return [{**one, "loc": ("body", *one["loc"])} for one in error.errors(include_url=False, include_context=False)]
