"""Our HTTP protocol class: uvicorn's httptools one, with time limits and stricter requests.

Half a request may not hold a connection: headers have 10 s and 64 KiB, a body must keep moving,
and a peer that does not read its answer is cut. Exactly one Host header; headers whose name has
an underscore are dropped, because WSGI-style names cannot tell them from the ones with a hyphen
(`X_Forwarded_For` would pass for a proxy's `X-Forwarded-For`). A request that is refused half-way
gets its answer before the connection ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from dashboard.drain import DrainWatch, keep_kernel_backlog_small, reset
from dashboard.turnstile import Turnstile

logger = logging.getLogger("dashboard.http")


def _dropped(record: logging.LogRecord) -> bool:
    """A request that the server's end has cancelled is no error of the application's."""
    if record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError):
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.msg, record.args = "a request was dropped: the server is stopping", ()
        record.exc_info = None
    return True


logger.addFilter(_dropped)


class Refused(Exception):
    """Stops the parser inside one of its callbacks; the answer is in `_refusal`."""


class HttpConnection(HttpToolsProtocol):
    """One HTTP connection. The limits are class attributes, so that a subclass can differ."""

    header_timeout_s = 10.0
    body_timeout_s = 30.0
    drain_timeout_s = 30.0
    stream_drain_timeout_s = 5.0
    stream_backlog_bytes = 64 * 1024
    linger_timeout_s = 2.0
    max_header_bytes = 64 * 1024
    max_headers = 100

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = logger
        self._in_headers = True
        self._header_bytes = 0
        self._refusal = (HTTPStatus.BAD_REQUEST, "")
        self._ending = False
        self._is_upgrading = False
        self._request_timer: asyncio.TimerHandle | None = None
        self._end_timer: asyncio.TimerHandle | None = None
        self._drain: DrainWatch | None = None

    # The transport calls these.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._drain = DrainWatch(self.loop, transport, self.drain_timeout_s, self.abort)
        self._start_timer(self.header_timeout_s, self._headers_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        if self._drain is not None:
            self._drain.stop()
        if self._end_timer is not None:
            self._end_timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._drain is not None:
            self._drain.start()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._drain is not None:
            self._drain.stop()

    def data_received(self, data: bytes) -> None:
        if self._ending:
            return  # the answer is on its way; what still comes is dropped
        if self._in_headers and self._request_timer is None:
            self._start_timer(self.header_timeout_s, self._headers_late)
        self._header_bytes += len(data)
        super().data_received(data)
        if self._is_over():
            return
        if not self._in_headers:
            self._start_timer(self.body_timeout_s, self._body_late)
        elif self._header_bytes > self.max_header_bytes:
            self._refuse(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"The headers of a request may have {self.max_header_bytes} bytes.",
            )

    # The server calls these.

    def shutdown(self) -> None:
        if self._is_upgrading:
            restarting = HTTPStatus.SERVICE_UNAVAILABLE, "The server is restarting."
            self._answer(*restarting, b"retry-after: 1\r\n")
            self.end_after_answer(still_sending=False)
        else:
            super().shutdown()

    def abort(self) -> None:
        """Drop the connection now."""
        reset(self.transport)

    # The parser calls these.

    def on_header(self, name: bytes, value: bytes) -> None:
        if b"_" in name:
            return
        if len(self.headers) >= self.max_headers:
            self._stop_parser(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"A request may have {self.max_headers} headers.",
            )
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._stop_timer()
        self._in_headers = False
        self._header_bytes = 0
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() == "1.1"):
            self._stop_parser(
                HTTPStatus.BAD_REQUEST, f"A request must have one Host header; this has {hosts}."
            )
        # For an answer without an end, whose reader is to be held to what holds for a socket's.
        extensions = cast(dict[str, Any], self.scope).setdefault("extensions", {})
        extensions["pulseboard.stream"] = self.become_stream
        super().on_headers_complete()
        cycle = self._last_cycle()
        if cycle is not None:
            cycle.transport = cast(asyncio.Transport, _AnswerFirst(self))

    def on_message_complete(self) -> None:
        self._stop_timer()
        self._in_headers = True
        self._header_bytes = 0
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Now, or, when a crowd opens sockets, after those who came before."""
        self._stop_timer()
        self._is_upgrading = True
        if not Turnstile.of_loop().enter(self._upgrade):
            self.transport.pause_reading()

    def send_400_response(self, msg: str) -> None:
        status, sentence = self._refusal
        self._refuse(status, sentence or "This is not an HTTP request that can be understood.")

    # The application calls this.

    def become_stream(self) -> None:
        """The answer has no end: cut its reader sooner, and let the kernel keep little for it."""
        keep_kernel_backlog_small(self.transport, self.stream_backlog_bytes)
        if self._drain is not None:
            self._drain.stop()
        self._drain = DrainWatch(self.loop, self.transport, self.stream_drain_timeout_s, self.abort)
        if self.flow.write_paused:
            self._drain.start()

    def _upgrade(self) -> None:
        if self._ending or self.transport.is_closing():
            return
        super().handle_websocket_upgrade()
        self.transport.resume_reading()
        # This object has done its part. Without these it is freed, and not left to the collector.
        self._ending = True
        self._drain = None
        self.parser = self.scope = self.flow = self.transport = cast(Any, None)

    # Ends.

    def end_after_answer(self, still_sending: bool) -> None:
        """Close so that the peer can read the answer, also when it is `still_sending`.

        A plain close with unread input makes the kernel reset the connection, and the answer
        (413, say) is lost with it. So: half-close, drop what still comes, and leave after a while.
        """
        if self._ending or self.transport.is_closing():
            return
        self._stop_timer()
        self._ending = True
        self._end_timer = self.loop.call_later(self.linger_timeout_s, self.abort)
        if still_sending and self.transport.can_write_eof():
            self.flow.resume_reading()
            self.transport.write_eof()
        else:
            self.transport.close()

    def _refuse(self, status: HTTPStatus, sentence: str) -> None:
        if not self._is_answering():
            self._answer(status, sentence)
        self.end_after_answer(still_sending=True)

    def _answer(self, status: HTTPStatus, sentence: str, headers: bytes = b"") -> None:
        body = (sentence + "\n").encode()
        self.transport.write(
            STATUS_LINE[status]
            + b"content-type: text/plain; charset=utf-8\r\n"
            + headers
            + b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            + body
        )

    def _stop_parser(self, status: HTTPStatus, sentence: str) -> None:
        self._refusal = (status, sentence)
        raise Refused

    def _headers_late(self) -> None:
        self._request_timer = None
        if self._is_answering():
            self._start_timer(self.header_timeout_s, self._headers_late)
            return
        if not self._header_bytes:
            self.transport.close()  # a browser's connection in advance: nobody waits for an answer
            return
        self._refuse(
            HTTPStatus.REQUEST_TIMEOUT,
            f"The request was not complete within {self.header_timeout_s:g} s.",
        )

    def _body_late(self) -> None:
        self._request_timer = None
        if self.flow.read_paused:  # it waits for the application, not for the peer
            self._start_timer(self.body_timeout_s, self._body_late)
            return
        cycle = self._last_cycle()
        if cycle is None or cycle.response_started:
            self.abort()
            return
        cycle.disconnected = True  # what the app may still say would come after our answer
        cycle.message_event.set()
        self._answer(
            HTTPStatus.REQUEST_TIMEOUT,
            f"Nothing came of this request's body for {self.body_timeout_s:g} s.",
        )
        self.end_after_answer(still_sending=True)

    def _is_answering(self) -> bool:
        cycle = self._last_cycle()
        return cycle is not None and not cycle.response_complete

    def _last_cycle(self) -> RequestResponseCycle | None:
        return self.cycle  # None before the first request, whatever uvicorn's annotation says

    def _is_over(self) -> bool:
        return self._ending

    def _start_timer(self, timeout_s: float, late: Callable[[], None]) -> None:
        self._stop_timer()
        self._request_timer = self.loop.call_later(timeout_s, late)

    def _stop_timer(self) -> None:
        if self._request_timer is not None:
            self._request_timer.cancel()
            self._request_timer = None


class _AnswerFirst:
    """The transport as a request sees it; only closing is different."""

    def __init__(self, connection: HttpConnection) -> None:
        self._connection = connection
        self.write = connection.transport.write
        self.is_closing = connection.transport.is_closing

    def close(self) -> None:
        self._connection.end_after_answer(still_sending=self._connection.cycle.more_body)
