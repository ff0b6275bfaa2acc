"""Django behind ASGI, with one step into a thread for the whole of a request: middleware, view and template.

Every view here is a plain function. Django's own handler makes a thread for each request and goes back and forth
between it and the event loop at every middleware that is not async.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.base import BaseHandler
from django.core.signals import request_started
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix


class DjangoDoor(ASGIHandler):
    """One for a process. A client that leaves does not stop its request: what it began is finished."""

    def __init__(self) -> None:
        BaseHandler.__init__(self)  # not ASGIHandler's: it would load the middleware for its own way
        self.load_middleware(is_async=False)
        self._threads = ThreadPoolExecutor(settings.LIMITS["requests_at_once"], thread_name_prefix="wflo-request")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        loop = asyncio.get_running_loop()
        with body:
            response = await loop.run_in_executor(self._threads, self._answer, scope, body)
        try:
            await self.send_response(response, send)
        finally:
            if response.streaming:
                await loop.run_in_executor(self._threads, response.close)

    def _answer(self, scope: Any, body: IO[bytes]) -> HttpResponseBase:
        set_script_prefix(get_script_prefix(scope))
        request_started.send(sender=self.__class__, scope=scope)
        request, refusal = self.create_request(scope, body)
        response = self.get_response(request) if request is not None else refusal
        assert response is not None
        response._handler_class = self.__class__  # type: ignore[attr-defined]  # whom close() names to its listeners
        if not response.streaming:
            response.close()  # gives the connection back from the thread that took it
        return response
