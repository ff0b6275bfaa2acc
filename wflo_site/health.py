"""How this process does, for balancers and people. /health/live, which asks nothing of anybody, is in asgi.py.

/health says who answers; /health/ready whether it can do its work now; /health/detailed, for a key, what it depends on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import Error, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe
from redis import Redis, RedisError

from tracking import keys
from tracking.errors import WfloServerError
from tracking.gateway import answers
from wflo import __version__

PROBE_SECONDS = 2
_began = time.monotonic()


@login_not_required
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    return _answer({"status": "healthy", **_who()})


@login_not_required
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """200 when PostgreSQL answers and the tables are there, else 503: a balancer sends nothing here meanwhile."""
    database = _probe(_database)
    is_ready = database["status"] == "ok"
    found = {"ready": is_ready, "checks": {"database": database}, "timestamp": _now()}
    if not is_ready:
        found["reason"] = "PostgreSQL does not answer, or the tables are not made."
    return _answer(found, 200 if is_ready else 503)


@login_not_required
@require_safe
def detailed(request: HttpRequest) -> JsonResponse:
    """Everything it depends on. Without Redis calls go on: limits by rate are not kept to meanwhile."""
    try:
        keys.caller_for(keys.secret_of(request.headers.get("authorization"), request.headers.get("x-api-key")))
    except WfloServerError as error:
        said = answers.error_of(error)
        answer = _answer({"error": said, "detail": {"error": said}}, error.status)
        for name, value in answers.headers_of(error):
            answer[name.decode()] = value.decode()
        return answer
    checks = {"database": _probe(_database), "redis": _probe(_redis)}
    is_well = all(check["status"] == "ok" for check in checks.values())
    is_up = checks["database"]["status"] == "ok"
    status = "healthy" if is_well else "degraded" if is_up else "unhealthy"
    uptime_seconds = round(time.monotonic() - _began, 3)
    return _answer(
        {"status": status, **_who(), "uptime_seconds": uptime_seconds, "checks": checks}, 200 if is_up else 503
    )


def _who() -> dict[str, Any]:
    return {"service": "wflo", "version": __version__, "timestamp": _now()}


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _probe(ask: Callable[[], None]) -> dict[str, Any]:
    began = time.perf_counter()
    try:
        ask()
    except (Error, RedisError):
        return {"status": "error", "error": "does not answer as it should"}
    return {"status": "ok", "latency_ms": round((time.perf_counter() - began) * 1000, 3)}


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM tracking_team LIMIT 1")


def _redis() -> None:
    with Redis.from_url(
        settings.WFLO_REDIS_URL, socket_timeout=PROBE_SECONDS, socket_connect_timeout=PROBE_SECONDS
    ) as redis:
        redis.ping()


def _answer(found: dict[str, Any], status: int = 200) -> JsonResponse:
    answer = JsonResponse(found, status=status)
    if status == 503:
        answer["Retry-After"] = "2"
    answer["Cache-Control"] = "no-store"
    return answer
