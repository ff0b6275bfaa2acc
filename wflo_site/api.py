"""The API for programs: every router under /api/v1, one kind of error, and an OpenAPI file that knows the hot doors."""

from __future__ import annotations

import logging
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.db import Error as DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema

from tracking.agent_jobs_api import router as agent_jobs_router
from tracking.agents_api import router as agents_router
from tracking.alerts_api import reading as alerts_reading
from tracking.alerts_api import router as alerts_router
from tracking.budgets_api import router as budgets_router
from tracking.catalog_api import router as catalog_router
from tracking.checkpoints_api import router as checkpoints_router
from tracking.circuits_api import asking as circuits_asking
from tracking.circuits_api import reading as circuits_reading
from tracking.circuits_api import router as circuits_router
from tracking.compare_api import router as compare_router
from tracking.errors import Invalid, NotFound, Unauthenticated, Unavailable, WfloServerError
from tracking.keys_api import router as keys_router
from tracking.prices_api import router as prices_router
from tracking.problems import TITLES, problem_json
from tracking.reading_api import router as reading_router
from tracking.reading_schemas import Problem
from tracking.runs_api import router as runs_router
from tracking.steering_api import router as steering_router
from tracking.store_errors import store_trouble
from tracking.usage_api import router as usage_router
from wflo_site.hot_doors import HOT_PATHS, PROBLEM

log = logging.getLogger(__name__)


class WfloApi(NinjaAPI):
    """NinjaAPI whose OpenAPI file also knows the doors that are served beside Django, and what each call refuses with."""

    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: dict[str, Any] | None = None
    ) -> OpenAPISchema:
        schema = super().get_openapi_schema(path_prefix=path_prefix, path_params=path_params)
        schema["components"]["schemas"]["Problem"] = Problem.json_schema()
        for path, calls in schema["paths"].items():
            for call in calls.values():
                call["responses"] |= {status: PROBLEM | {"description": TITLES[status]} for status in _refusals(path)}
        schema["paths"].update(HOT_PATHS)
        return schema


def _refusals(path: str) -> tuple[int, ...]:
    names_one = "{" in path or path.endswith("/compare")
    return (400, 401, 403, 404, 503) if names_one else (400, 401, 403, 503)


api = WfloApi(
    title="Wflo",
    version="1",
    description="What your agents did and what it cost. Send `Authorization: Bearer <key>`. Money is a JSON number in USD "
    "with at most 10 decimals and null when it is not known; times are RFC 3339 UTC; errors are RFC 9457 problem JSON.",
    urls_namespace="api",
    docs_url="/docs",
    openapi_url="/openapi.json",
)
api.add_router("/v1", reading_router)
api.add_router("/v1", compare_router)
api.add_router("/v1", runs_router)
api.add_router("/v1", usage_router)
api.add_router("/v1", keys_router)
api.add_router("/v1", prices_router)
api.add_router("/v1", alerts_reading)
api.add_router("/v1", alerts_router)
api.add_router("/v1", budgets_router)
api.add_router("/v1", circuits_reading)
api.add_router("/v1", circuits_router)
api.add_router("/v1", circuits_asking)
api.add_router("/v1", catalog_router)
api.add_router("/v1", checkpoints_router)
api.add_router("/v1", steering_router)
api.add_router("/v1", agents_router)
api.add_router("/v1", agent_jobs_router)


def problem(request: HttpRequest, status: int, code: str, detail: str, field: str | None = None) -> HttpResponse:
    body = problem_json(status, code, detail, field=field, request_id=getattr(request, "id", None))
    response = HttpResponse(body, status=status, content_type="application/problem+json")
    if status == 401:
        response["WWW-Authenticate"] = "Bearer"
    if status == 503:
        response["Retry-After"] = str(Unavailable.retry_after_s)
    return response


@api.exception_handler(WfloServerError)
def _known(request: HttpRequest, error: WfloServerError) -> HttpResponse:
    return problem(request, error.status, error.code, error.message, error.field)


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    first = error.errors[0] if error.errors else {}
    place = [str(part) for part in first.get("loc", ()) if part not in ("query", "path", "body")]
    field = ".".join(place[-2:] if len(place) > 2 else place) or None
    message = str(first.get("msg", "is wrong"))
    return problem(request, Invalid.status, Invalid.code, f"{field}: {message}" if field else message, field)


@api.exception_handler(Http404)
def _missing(request: HttpRequest, error: Http404) -> HttpResponse:
    return problem(request, NotFound.status, NotFound.code, "There is nothing at this address.")


@api.exception_handler(HttpError)
def _http(request: HttpRequest, error: HttpError) -> HttpResponse:
    if error.status_code == 401:
        return _known(request, Unauthenticated())
    code = Invalid.code if error.status_code == Invalid.status else f"http_{error.status_code}"
    return problem(request, error.status_code, code, error.message)


@api.exception_handler(SuspiciousOperation)
def _suspicious(request: HttpRequest, error: SuspiciousOperation) -> HttpResponse:
    return problem(request, Invalid.status, Invalid.code, "The request could not be read.")


@api.exception_handler(DatabaseError)
def _store(request: HttpRequest, error: DatabaseError) -> HttpResponse:
    log.error("the store failed an API call: %s", error, exc_info=True)
    trouble = store_trouble(error)
    return _unknown(request, error) if trouble is None else _known(request, trouble)


@api.exception_handler(Exception)
def _unknown(request: HttpRequest, error: Exception) -> HttpResponse:
    log.exception("an API call failed")
    return problem(request, 500, "internal", "The server failed. Quote the request_id when you report it.")
