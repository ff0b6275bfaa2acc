"""SaaS LiteLLM's surface under /api: its routers, errors in its form, and an OpenAPI file of its own."""

from __future__ import annotations

import logging
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.db import Error as DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError

from tracking.errors import NotFound, WfloServerError
from tracking.gateway.answers import headers_of
from tracking.saas import answers
from tracking.saas.credits_api import router as credits_router
from tracking.saas.groups_api import router as groups_router
from tracking.saas.jobs_api import router as jobs_router
from tracking.saas.monitoring_api import router as monitoring_router
from tracking.saas.organizations_api import router as organizations_router
from tracking.saas.people_api import router as people_router
from tracking.saas.teams_api import router as teams_router
from tracking.store_errors import store_trouble

log = logging.getLogger(__name__)

api = NinjaAPI(
    title="Wflo: jobs, credits and teams",
    version="1",
    description="Jobs that a program drives, with model calls in them and credits for them. Send "
    "`Authorization: Bearer <virtual key>`; administrators send an operator's key so, or as `X-Admin-Key`. Errors are "
    '`{"detail": ...}`. Models are called with POST /api/jobs/{job_id}/llm-call, /llm-call-stream, '
    "/api/jobs/create-and-call and /create-and-call-stream.",
    urls_namespace="saas",
    docs_url="/saas/docs",
    openapi_url="/saas/openapi.json",
)
for router in (
    monitoring_router,  # before what is below /jobs/{job_id}
    jobs_router,
    groups_router,
    teams_router,
    credits_router,
    organizations_router,
    people_router,
):
    api.add_router("", router)


@api.exception_handler(WfloServerError)
def _known(request: HttpRequest, error: WfloServerError) -> HttpResponse:
    response = JsonResponse(answers.body_of(error), status=answers.status_of(error))
    for name, value in headers_of(error):
        response[name.decode()] = value.decode()
    return response


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    return JsonResponse(answers.body_of_validation([_placed(one) for one in error.errors]), status=422)


def _placed(error: dict[str, Any]) -> dict[str, Any]:
    """("body", "body", "field") as FastAPI says it: ("body", "field")."""
    place = tuple(error.get("loc", ()))
    if place[:1] == ("body",) and len(place) > 2:
        place = ("body", *place[2:])
    return {"loc": place, "msg": error.get("msg", "is wrong"), "type": error.get("type", "value_error")}


@api.exception_handler(Http404)
def _missing(request: HttpRequest, error: Http404) -> HttpResponse:
    return _known(request, NotFound("Not Found"))


@api.exception_handler(HttpError)
def _http(request: HttpRequest, error: HttpError) -> HttpResponse:
    status = 422 if error.status_code == 400 else error.status_code  # a body that is no JSON
    return JsonResponse({"detail": error.message}, status=status)


@api.exception_handler(SuspiciousOperation)
def _suspicious(request: HttpRequest, error: SuspiciousOperation) -> HttpResponse:
    return JsonResponse({"detail": "The request could not be read."}, status=400)


@api.exception_handler(DatabaseError)
def _store(request: HttpRequest, error: DatabaseError) -> HttpResponse:
    log.error("the store failed a call of /api: %s", error, exc_info=True)
    trouble = store_trouble(error)
    return _unknown(request, error) if trouble is None else _known(request, trouble)


@api.exception_handler(Exception)
def _unknown(request: HttpRequest, error: Exception) -> HttpResponse:
    log.exception("a call of /api failed")
    return JsonResponse({"detail": "The server failed."}, status=500)
