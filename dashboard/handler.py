"""Django's way from ASGI to the middleware and back, made shorter for publishers."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler

from metrics.api.door import PREFIX


class Handler(ASGIHandler):
    """Publishers' requests go without the signals request_started and request_finished, whose
    receivers (they close old database connections) Django calls on a thread, twice a request.

    Nothing on their way uses the request's thread: metrics.threads looks after the connections of
    those that it does use. Nor is it watched whether the publisher goes away: what it has sent is
    stored all the same.
    """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        is_published = scope["type"] == "http" and scope["method"] == "POST"
        if is_published and scope["path"].startswith(PREFIX):
            await self._publish(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def _publish(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        with body:
            request, refusal = self.create_request(scope, body)
            response = refusal if request is None else await self.run_get_response(request)
            assert response is not None  # there is a request, or the answer that refuses it
            await self.send_response(response, send)
