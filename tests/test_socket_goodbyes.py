"""Every end of a socket has a code and a reason, whatever the application does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from dashboard import server
from dashboard.server import state
from dashboard.socket import LiveSocket
from tests.socket_support import (
    TEXT,
    App,
    Message,
    Receive,
    Send,
    frame,
    handshake,
    serving,
)
from tests.support.waiting import aeventually


class Impatient(LiveSocket):
    """The real rules with short times."""

    drain_timeout_s = 0.5
    close_timeout_s = 0.2


async def raises(receive: Receive, send: Send) -> None:
    raise ValueError("secret-in-the-message")


async def returns(receive: Receive, send: Send) -> None:
    return


async def sends_a_lone_surrogate(receive: Receive, send: Send) -> None:
    await send({"type": "websocket.send", "text": "cpu \ud800"})


async def closes_with_a_code_that_is_none(receive: Receive, send: Send) -> None:
    await send({"type": "websocket.close", "code": 1006, "reason": "no"})


async def sends_what_is_no_message(receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})


@pytest.mark.parametrize(
    ("buggy", "sentence"),
    [
        (raises, "an error in the server: it is in the server's log"),
        (returns, "the server ended this conversation without saying why"),
        (sends_a_lone_surrogate, "the server had text to send that is not valid Unicode"),
        (closes_with_a_code_that_is_none, "an error in the server"),
        (sends_what_is_no_message, "an error in the server: it is in the server's log"),
    ],
)
async def test_a_bug_of_ours_is_said_with_1011_and_a_sentence(
    buggy: Callable[[Receive, Send], Awaitable[None]],
    sentence: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App(after_accept=buggy)
    async with serving(app) as running, await running.connect() as peer:
        assert await peer.goodbye() == (1011, sentence)
    if buggy is raises:
        assert "secret-in-the-message" in caplog.text  # the log has it, the peer does not


async def test_a_lone_surrogate_ends_one_socket_and_no_other() -> None:
    app = App()
    async with serving(app) as running, await running.connect() as other:
        app.after_accept = sends_a_lone_surrogate
        async with await running.connect() as poisoned:
            assert (await poisoned.goodbye())[0] == 1011
        await other.send(frame(TEXT, b"still here"))
        assert await other.frame() == (TEXT, b"still here")


async def test_a_close_without_a_reason_gets_one() -> None:
    async def close(receive: Receive, send: Send) -> None:
        await send({"type": "websocket.close"})

    async with serving(App(after_accept=close)) as running, await running.connect() as peer:
        assert await peer.goodbye() == (1000, "done")


async def test_a_peer_that_talks_on_after_the_close_is_let_go_at_once() -> None:
    class Patient(LiveSocket):
        close_timeout_s = 3600.0

    async def closes(receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.close", "code": 4400, "reason": "not a JSON message"})

    async with serving(App(after_accept=closes), Patient) as running:
        async with await running.connect() as peer:
            await peer.send(frame(TEXT, b"nonsense"))
            assert await peer.goodbye() == (4400, "not a JSON message")
            await peer.send(frame(TEXT, b"x" * 60_000))
            assert await peer.everything() == b""  # without a reset
        await aeventually(lambda: not running.connections, what="nothing is left of it")


async def test_a_reason_that_is_too_long_is_cut_at_a_character() -> None:
    async def close(receive: Receive, send: Send) -> None:
        await send({"type": "websocket.close", "code": 4400, "reason": "é" * 100})

    async with serving(App(after_accept=close)) as running, await running.connect() as peer:
        assert await peer.goodbye() == (4400, "é" * 61)


async def test_sending_after_the_end_is_an_os_error_and_no_crash(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ended: list[str] = []

    async def talk_on(receive: Receive, send: Send) -> None:
        await send({"type": "websocket.close", "code": 4403, "reason": "no"})
        try:
            await send({"type": "websocket.send", "text": "and another thing"})
        except OSError as error:
            ended.append(type(error).__name__)
            raise

    async with serving(App(after_accept=talk_on)) as running, await running.connect() as peer:
        assert (await peer.goodbye())[0] == 4403
        assert ended == ["ClientDisconnected"]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_an_app_that_fails_before_it_accepts_answers_500() -> None:
    async def broken(scope: Message, receive: Receive, send: Send) -> None:
        raise RuntimeError("at once")

    async with serving(broken) as running, await running.dial() as peer:
        await peer.send(handshake())
        assert (await peer.everything()).startswith(b"HTTP/1.1 500 ")


async def test_an_app_may_refuse_a_handshake() -> None:
    async def refuse(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.close", "code": 4403})

    async with serving(refuse) as running, await running.dial() as peer:
        await peer.send(handshake())
        assert (await peer.everything()).startswith(b"HTTP/1.1 403 ")


async def test_a_stop_says_1012_to_every_socket_and_tells_the_app(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "CONNECTIONS_TIMEOUT_S", 3600.0)  # nobody here needs it
    app = App()
    async with serving(app) as running:
        peers = [await running.connect() for _ in range(10)]
        stopping = asyncio.create_task(running.stop())
        for peer in peers:
            code, reason = await peer.goodbye()
            assert (code, reason) == (1012, "the server is restarting: come back in a moment")
            peer.sock.close()
        await stopping
        assert [message["code"] for message in app.goodbyes] == [1012] * 10
        assert app.ended == 10


async def test_a_stop_does_not_wait_for_peers_that_do_not_read() -> None:
    async def pour(receive: Receive, send: Send) -> None:
        while True:
            await send({"type": "websocket.send", "bytes": b"x" * 16384})

    app = App(after_accept=pour)
    async with serving(app) as running:
        for _ in range(5):
            await running.connect(receive_bytes=4096)
        await aeventually(
            lambda: all(not one.writable.is_set() for one in running.connections),
            what="all are stuck",
        )
        await running.stop()
        assert app.ended == 5


async def test_a_stop_during_a_handshake_is_answered_503() -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow(scope: Message, receive: Receive, send: Send) -> None:
        arrived.set()
        await go_on.wait()
        await send({"type": "websocket.accept"})

    async with serving(slow) as running, await running.dial() as peer:
        await peer.send(handshake())
        await arrived.wait()
        stopping = asyncio.create_task(running.stop())
        answer = await peer.everything()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in answer.lower()
        go_on.set()
        await stopping


async def test_goodbye_hooks_run_before_sockets_close_and_cannot_hold_up_a_stop() -> None:
    order: list[str] = []
    never = asyncio.Event()

    async def talk(receive: Receive, send: Send) -> None:
        async def bye() -> None:
            assert state.draining
            order.append("hook")
            await send({"type": "websocket.send", "text": "bye"})

        forget = state.on_drain(bye)
        await receive()
        forget()

    async def hang() -> None:
        await never.wait()

    async def fail() -> None:
        raise RuntimeError("a hook with a bug")

    forget_all = [state.on_drain(hang), state.on_drain(fail)]
    async with serving(App(after_accept=talk)) as running, await running.connect() as peer:
        await aeventually(lambda: state.ready)
        stopping = asyncio.create_task(running.stop())
        assert await peer.frame() == (TEXT, b"bye")
        assert (await peer.goodbye())[0] == 1012
        peer.sock.close()
        await stopping
        assert state.draining
        assert not state.ready
    for forget in forget_all:
        forget()
    assert order == ["hook"]


async def test_no_query_string_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(App()) as running:
        async with await running.connect("/live/?token=pb_secret"):
            pass
        async with await running.dial() as peer:
            await peer.send(b"GET /?token=pb_secret HTTP/1.0\r\nCookie: pb_secret\r\n\r\n")
            await peer.hung_up()
    assert "pb_secret" not in caplog.text
