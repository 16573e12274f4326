"""`serve --workers`: several processes on one port, without Redis; who dies, and what is left."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest

from metrics.lease import TTL_MS
from tests.live_support import LiveClient, Shown, live
from tests.support.environment import ROOT
from tests.support.product import Product
from tests.support.store import rows
from tests.support.waiting import DEADLINE_S, aeventually, eventually
from tests.worker_support import publish, sockets_in_each, workers

NewServer = Callable[..., Product]

HOLDER = "SELECT holder FROM metrics_lease WHERE name = 'keeper'"
SERIES = (
    "SELECT metric.name, series.labels FROM metrics_series series "
    "JOIN metrics_metric metric ON metric.id = series.metric_id WHERE metric.name IN "
    "('pulseboard_connections', 'process_open_fds', 'node_load1')"
)


@pytest.fixture
def two(new_server: NewServer) -> Product:
    return new_server({"WORKERS": "2"})


@pytest.mark.parametrize("workers", ["0", "many", "257"])
def test_a_number_of_workers_that_makes_no_sense_is_refused(folder: Path, workers: str) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "serve", "--workers", workers],
        cwd=ROOT,
        env={**os.environ, "DATA_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode != 0
    assert "expected 1 to 256 processes" in done.stderr


@pytest.mark.parametrize("store_kind", ["sqlite", "postgres"])
async def test_what_one_process_stores_the_watchers_of_every_process_see(
    new_server: NewServer, store_kind: str, request: pytest.FixtureRequest
) -> None:
    variables = {"WORKERS": "2"}
    if store_kind == "postgres":
        variables["DATABASE_URL"] = request.getfixturevalue("postgres_url")
    product = await asyncio.to_thread(new_server, variables)
    writing = await asyncio.to_thread(product.token)
    reading = await asyncio.to_thread(product.token, "reader", "read")
    async with sockets_in_each(product, token=reading) as clients:
        assert len(clients) == 2
        watching = [(client, Shown(), await client.watch("seen")) for client in clients.values()]
        for value in range(20):  # each over a connection of its own: both processes get some
            assert await asyncio.to_thread(publish, product, writing, "seen", value)
        await asyncio.gather(*(see(*one, {19.0}) for one in watching))
    assert await asyncio.to_thread(product.terminate) == 0


async def see(client: LiveClient, shown: Shown, id: int, wanted: set[float]) -> None:
    await client.until_shown(shown, id, wanted)


async def test_signing_out_ends_sockets_in_every_process(two: Product) -> None:
    cookie = await asyncio.to_thread(two.cookie)
    async with sockets_in_each(two, cookie=cookie) as clients:
        await asyncio.to_thread(sign_out, two, cookie)
        for client in clients.values():
            assert (await client.goodbye())[0] == 4401


def sign_out(product: Product, cookie: str) -> None:
    with urllib.request.urlopen(
        urllib.request.Request(f"{product.base_url}/", headers={"Cookie": cookie}),
        timeout=DEADLINE_S,
    ) as page:
        text = page.read().decode()
    token = text.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
    request = urllib.request.Request(
        f"{product.base_url}/signout/",
        f"csrfmiddlewaretoken={token}".encode(),
        {"Cookie": cookie, "Origin": product.base_url},
    )
    with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
        assert answer.status == 200


def test_each_process_tells_its_own_numbers_apart_and_one_collects(two: Product) -> None:
    def processes() -> set[tuple[str, str]]:
        found = rows(two.database_url, SERIES)
        labels = [(name, json.loads(one) if isinstance(one, str) else one) for name, one in found]
        return {(name, one.get("process", "")) for name, one in labels}

    expected = {(name, slot) for name in ("pulseboard_connections", "process_open_fds")
                for slot in ("1", "2")} | {("node_load1", "")}  # fmt: skip
    eventually(lambda: processes() == expected)


async def test_when_a_process_is_killed_its_clients_go_on_in_others(two: Product) -> None:
    writing = await asyncio.to_thread(two.token)
    reading = await asyncio.to_thread(two.token, "reader", "read")
    before = workers(two)
    async with sockets_in_each(two, token=reading) as clients:
        dead, client = next(iter(clients.items()))
        shown = Shown()
        id = await client.watch("seen")
        assert await asyncio.to_thread(publish, two, writing, "seen", 1)
        await client.until_shown(shown, id, {1.0})
        os.kill(dead, signal.SIGKILL)
        assert await aeventually(lambda: asyncio.to_thread(publish, two, writing, "seen", 2))
        async with live(two.live_url, token=reading) as again:
            id = await again.watch("seen", cursor=shown.cursor)
            await again.until_shown(Shown(), id, {2.0})
    await aeventually(lambda: len(workers(two)) == 2 and dead not in workers(two))
    assert len(workers(two) - before) == 1
    assert f"(pid {dead}) ended, killed by signal 9: another is started" in two.output
    assert await asyncio.to_thread(two.terminate) == 0


def test_when_the_supervisor_is_killed_nobody_is_left(two: Product) -> None:
    assert two.process is not None
    children = workers(two)
    assert len(children) == 2
    os.kill(two.process.pid, signal.SIGKILL)
    eventually(lambda: not any(map(psutil.pid_exists, children)), what="the children leave")
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", two.port))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_ends_all_and_tells_every_client(
    new_server: NewServer, how: signal.Signals
) -> None:
    product = await asyncio.to_thread(new_server, {"WORKERS": "2"})
    children = workers(product)
    reading = await asyncio.to_thread(product.token, "reader", "read")
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(live(product.live_url, token=reading)) for _ in range(6)
        ]
        ending = asyncio.create_task(asyncio.to_thread(product.terminate, how))
        goodbyes = await asyncio.gather(*(client.goodbye() for client in clients))
        assert {code for code, _ in goodbyes} == {1012}
        assert await ending == 0
    assert not any(map(psutil.pid_exists, children))
    assert product.output.splitlines() == [f"Pulseboard is running: {product.link}", "Stopped."]


def test_a_process_that_drains_hands_the_jobs_over_at_once(two: Product) -> None:
    def holder() -> int:
        found = rows(two.database_url, HOLDER)
        return int(found[0][0].split(":")[1]) if found and found[0][0] else 0

    first = eventually(lambda: holder() if holder() in workers(two) else 0)
    os.kill(first, signal.SIGTERM)
    # Without the hand-over the lease would have to run out first.
    eventually(lambda: holder() not in (0, first), timeout_s=TTL_MS / 1000 * 0.75)
