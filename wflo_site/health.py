"""GET /health/ready: whether this process can do its work now. /health/live, which asks nothing of anybody, is in asgi.py."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.db import Error, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe


@login_not_required
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """200 when PostgreSQL answers and the tables are there, else 503: a balancer sends nothing here meanwhile."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM tracking_team LIMIT 1")
    except Error:
        answer = JsonResponse(
            {"ready": False, "reason": "PostgreSQL does not answer, or the tables are not made."}, status=503
        )
        answer["Retry-After"] = "2"
    else:
        answer = JsonResponse({"ready": True})
    answer["Cache-Control"] = "no-store"
    return answer
