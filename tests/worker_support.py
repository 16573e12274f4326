"""Several serving processes behind one address: who they are, and sockets in each of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import psutil

from tests.live_support import LiveClient, live
from tests.support.product import Product
from tests.support.waiting import DEADLINE_S

MOST_SOCKETS = 60


def workers(product: Product) -> set[int]:
    """The serving processes that live now."""
    assert product.process is not None
    found = set()
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(product.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if child.status() != psutil.STATUS_ZOMBIE:
                    found.add(child.pid)
    return found


def process_of(product: Product, client: LiveClient) -> int:
    """The serving process that has the other end of a socket; 0 when that is not known yet."""
    port = client.socket.local_address[1]
    for pid in workers(product):
        with contextlib.suppress(psutil.NoSuchProcess):
            for one in psutil.Process(pid).net_connections("tcp"):
                if getattr(one.raddr, "port", None) == port:  # no address when it listens
                    return pid
    return 0


@asynccontextmanager
async def sockets_in_each(
    product: Product, *, token: str = "", cookie: str = ""
) -> AsyncIterator[dict[int, LiveClient]]:
    """An open socket in every serving process, by its process id."""
    async with AsyncExitStack() as stack:
        found: dict[int, LiveClient] = {}
        for _ in range(MOST_SOCKETS):
            origin = product.base_url if cookie else None
            client = await stack.enter_async_context(
                live(product.live_url, token=token, cookie=cookie, origin=origin)
            )
            pid = await asyncio.to_thread(process_of, product, client)
            if pid:
                found.setdefault(pid, client)
            if set(found) == await asyncio.to_thread(workers, product):
                break
        assert set(found) == await asyncio.to_thread(workers, product)
        yield found


def publish(
    product: Product, token: str, metric: str, value: float, key: str = "", **more: int
) -> bool:
    """Publishes over HTTP on a connection of its own; whether it was stored. `more`: its time.

    False when there was no answer, or one that says to try again.
    """
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    if key:
        headers["Idempotency-Key"] = key
    request = urllib.request.Request(
        f"{product.base_url}/api/v1/samples",
        json.dumps({"samples": [{"metric": metric, "value": value, **more}]}).encode(),
        headers,
    )
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        assert error.code == 503, f"{error.code}: {error.read().decode()}"
        return False
    except OSError:
        return False
