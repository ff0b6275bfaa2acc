"""The process's front door: a short table of hot paths, and Django for everything else.

The hot doors are small ASGI callables in their rooms; they skip Django's handler, which costs more than the work
itself. Each answers with and without a trailing slash, and none ever redirects.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wflo_site.settings")

import django

django.setup(set_prefix=False)

from tracking.gateway import api as gateway  # noqa: E402  models are ready only now
from tracking.gateway import count_tokens_api, models_api, responses_api, runs_door  # noqa: E402
from tracking.ingest import api as ingest  # noqa: E402
from tracking.ingest.body import Receive, Scope, Send  # noqa: E402
from tracking.queue import live_door  # noqa: E402
from tracking.saas import calls_door  # noqa: E402
from wflo_site import static_files  # noqa: E402
from wflo_site.django_door import DjangoDoor  # noqa: E402

Door = Callable[[Scope, Receive, Send], Awaitable[None]]
django_door = DjangoDoor()

# What start-up made stays, some 300,000 objects: collections need not look at it again, nor come at every 700 new ones.
gc.collect()
gc.freeze()
gc.set_threshold(20_000, 20, 50)
# A thread that decodes or writes spans hands the interpreter over after this long: a call that comes meanwhile waits for it.
sys.setswitchinterval(0.0005)

HOT = {
    "/v1/traces": ingest.traces,
    "/v1/logs": ingest.log_records,
    "/v1/metrics": ingest.metrics,
    "/api/public/otel/v1/traces": ingest.traces,  # where Langfuse's SDK sends
    "/api/public/otel/v1/logs": ingest.log_records,
    "/api/public/otel/v1/metrics": ingest.metrics,
    "/api/v1/ingest": ingest.events,
    "/health/live": ingest.live,
    "/v1/chat/completions": gateway.chat_completions,
    "/v1/completions": gateway.completions,
    "/v1/embeddings": gateway.embeddings,
    "/v1/responses": gateway.responses,
    "/v1/messages": gateway.messages,
    "/v1/messages/count_tokens": count_tokens_api.count_tokens,
    "/v1/models": models_api.models,
    "/v1/runs": runs_door.runs,
}
HOT |= {f"{path}/": door for path, door in HOT.items()}
BELOW = {
    models_api.BELOW: models_api.models,
    responses_api.BELOW: responses_api.kept_response,
    runs_door.BELOW: runs_door.runs,
}


def _below(path: str) -> Door | None:
    """The door of everything below an address."""
    if path.startswith("/api/jobs/"):
        return calls_door.door_of(path)
    if path.startswith("/jobs/"):
        return live_door.door_of(path)
    return next((door for start, door in BELOW.items() if path.startswith(start)), None)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        door = HOT.get(scope["path"]) or _below(scope["path"])
        if door is not None:
            await door(scope, receive, send)
            return
        if scope["path"].startswith("/static/"):
            await static_files.serve(scope, receive, send)
            return
        await django_door(scope, receive, send)
    elif scope["type"] == "lifespan":
        await _lifespan(receive, send)


def _when_told_to_end(then: Callable[[], None]) -> None:
    """Besides what the server does itself at these signals."""
    for number in (signal.SIGTERM, signal.SIGINT):
        usual = signal.getsignal(number)
        if not callable(usual) or threading.current_thread() is not threading.main_thread():
            continue

        def both(number: int, frame: FrameType | None, usual: Callable[[int, FrameType | None], Any] = usual) -> None:
            then()
            usual(number, frame)

        signal.signal(number, both)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            _when_told_to_end(live_door.end_all)
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await gateway.close()
            ingest.close()
            await send({"type": "lifespan.shutdown.complete"})
            return
