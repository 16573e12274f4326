"""The bell over a real Redis-compatible server, in every way there is to run one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboard import group, layers
from tests.support.bells import ring_each_other, two_bells
from tests.support.redis_proxy import redis_proxy
from tests.support.valkey import LOCAL, Valkey, free_ports
from tests.support.waiting import aeventually, eventually

NODES = 3
SLOTS = 16384

pytestmark = pytest.mark.redis


class TestOneServer:
    async def test_who_may_not_come_in_is_told_so(
        self, valkey: Valkey, caplog: pytest.LogCaptureFixture
    ) -> None:
        with valkey.client() as client:
            client.acl_setuser(
                "ann", enabled=True, passwords=["+p@ss"], channels=["*"], commands=["+@all"]
            )
        wrong = f"redis://ann:guess@{LOCAL}:{valkey.port}"
        entering = asyncio.create_task(
            contextlib.AsyncExitStack().enter_async_context(two_bells(wrong))
        )
        await aeventually(lambda: "invalid username-password" in caplog.text)
        entering.cancel()
        await asyncio.wait([entering])
        async with two_bells(f"redis://ann:p%40ss@{LOCAL}:{valkey.port}/3"):
            pass

    async def test_over_a_unix_socket(self, valkey: Valkey) -> None:
        async with two_bells(f"unix://{valkey.socket}?db=1"):
            pass

    async def test_over_tls(self, valkey: Valkey, folder: Path) -> None:
        key, certificate = folder / "key.pem", folder / "certificate.pem"
        names = ["-subj", "/CN=localhost", "-addext", f"subjectAltName=IP:{LOCAL}"]
        files = ["-keyout", str(key), "-out", str(certificate), "-days", "2"]
        await asyncio.to_thread(
            subprocess.run,
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *files, *names],
            check=True,
            capture_output=True,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        async with (
            redis_proxy(valkey.port, context) as proxy,
            two_bells(f"rediss://{LOCAL}:{proxy.port}?ssl_ca_certs={certificate}"),
        ):
            pass

    async def test_the_server_may_be_killed_and_come_back_empty(
        self,
        valkey: Valkey,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(layers.outage, "until_s", 0.0)
        async with two_bells(valkey.url) as bells:
            await asyncio.to_thread(valkey.kill9)
            bells[0].group.ring()
            await aeventually(lambda: "Redis does not answer" in caplog.text)
            await asyncio.to_thread(valkey.start)
            await ring_each_other(*bells)
        assert "Traceback" not in caplog.text
        complaints = [one for one in caplog.records if one.levelno >= logging.WARNING]
        assert len(complaints) == 1, "once a minute is enough"

    async def test_the_server_may_not_be_there_yet(self, valkey: Valkey) -> None:
        await asyncio.to_thread(valkey.kill9)
        starting = asyncio.get_running_loop().run_in_executor(None, valkey.start)
        async with two_bells(valkey.url):
            await starting

    async def test_it_may_forget_everything(self, valkey: Valkey) -> None:
        async with two_bells(valkey.url) as bells:
            await asyncio.to_thread(valkey.empty)
            await ring_each_other(*bells)

    async def test_it_may_be_paused(self, valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(group, "SEND_S", 0.1)
        monkeypatch.setattr(group, "RETRY_S", (0.05, 0.1))
        async with two_bells(valkey.url) as bells:
            given_up = []
            layer = bells[0].layer
            sending = layer.group_send

            async def noting(name: str, message: dict[str, Any]) -> None:
                try:
                    await sending(name, message)
                except asyncio.CancelledError:
                    given_up.append(message)
                    raise

            monkeypatch.setattr(layer, "group_send", noting)
            valkey.pause()
            try:
                bells[0].group.ring()
                await aeventually(lambda: given_up, what="a ring that nobody takes is given up")
            finally:
                valkey.resume()
            await ring_each_other(*bells)

    async def test_idle_nobody_dies(self, valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
        """Receiving runs through its time-out many times over, and the bell still rings."""
        monkeypatch.setattr(group, "RENEW_S", 0.05)
        async with two_bells(valkey.url) as bells:
            joined = []
            for bell in bells:
                joining = bell.layer.new_channel

                async def noting(prefix: str, joining=joining, bell=bell) -> str:  # type: ignore[no-untyped-def]
                    joined.append(bell)
                    return str(await joining(prefix))

                monkeypatch.setattr(bell.layer, "new_channel", noting)
            await aeventually(lambda: min(map(joined.count, bells)) > 3)
            await ring_each_other(*bells)

    async def test_the_connections_time_out_on_nothing(self, valkey: Valkey) -> None:
        async with two_bells(valkey.url) as bells:
            (shard,) = bells[0].layer._get_layer()._shards
            assert shard._pubsub.connection.socket_timeout is None

    async def test_rights_that_changed_are_told(self, valkey: Valkey) -> None:
        async with two_bells(valkey.url) as (one, other):
            before = one.rights

            def told() -> bool:
                one.group.ring(rights=True)
                return other.rights > 0

            await aeventually(told)
            assert one.rights == before, "to the others"

    async def test_trying_while_it_is_away_leaves_nothing_behind(
        self, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(group, "RENEW_S", 0.01)
        monkeypatch.setattr(group, "RETRY_S", (0.01, 0.01))
        async with two_bells(valkey.url) as bells:
            inner = bells[0].layer._get_layer()
            tries = 0
            subscribing = inner._subscribe_to_channel

            async def noting(channel: str) -> None:
                nonlocal tries
                tries += 1
                await subscribing(channel)

            monkeypatch.setattr(inner, "_subscribe_to_channel", noting)
            await asyncio.to_thread(valkey.kill9)
            so_far = tries
            await aeventually(lambda: tries > so_far + 20)
            assert len(inner.channels) <= 2
            await asyncio.to_thread(valkey.start)
            await ring_each_other(*bells)


async def test_several_servers_are_shards(valkey: Valkey) -> None:
    other = await asyncio.to_thread(Valkey)
    try:
        async with two_bells(f"{valkey.url},{other.url}") as bells:
            shards = bells[0].layer._get_layer()._shards
            assert sum(bool(shard._subscribed_to) for shard in shards) >= 1
    finally:
        await asyncio.to_thread(other.stop)


@pytest.fixture
def sentinels(valkey: Valkey) -> Iterator[tuple[Valkey, Valkey, list[Valkey]]]:
    """A master, its replica, and two Sentinels that watch them."""
    running: list[Valkey] = []
    try:
        master = Valkey()
        running.append(master)
        replica = Valkey("--replicaof", LOCAL, str(master.port), "--repl-diskless-sync-delay", "0")
        running.append(replica)
        about = (
            f"sentinel monitor board {LOCAL} {master.port} 2\n"
            "sentinel down-after-milliseconds board 1000\n"
            "sentinel failover-timeout board 5000\n"
        )
        running += [Valkey(sentinel=about) for _ in range(2)]
        for one in running[2:]:

            def knows_all(one: Valkey = one) -> bool:
                with one.client() as client:
                    state = client.sentinel_master("board")
                return bool(state["num-slaves"] == 1 and state["num-other-sentinels"] == 1)

            eventually(knows_all, what="the Sentinels know each other and the replica")
        yield master, replica, running[2:]
    finally:
        for one in running:
            one.stop()


async def test_with_sentinels_the_master_may_fail(
    sentinels: tuple[Valkey, Valkey, list[Valkey]],
) -> None:
    master, replica, guards = sentinels
    hosts = ",".join(f"{LOCAL}:{one.port}" for one in guards)
    async with two_bells(f"redis+sentinel://{hosts}/board") as bells:
        await asyncio.to_thread(master.kill9)
        with replica.client() as client:
            await aeventually(lambda: client.role()[0] == b"master", what="the replica takes over")
            await ring_each_other(*bells)
            heard = client.pubsub_numsub("asgi__group__pulseboard.bell")[0][1]
        assert heard == 2, "both listen to the new master"


async def test_with_sentinels_one_of_these_may_be_away(
    sentinels: tuple[Valkey, Valkey, list[Valkey]],
) -> None:
    _, _, guards = sentinels
    hosts = ",".join(f"{LOCAL}:{one.port}" for one in guards)
    await asyncio.to_thread(guards[0].kill9)
    async with two_bells(f"redis+sentinel://{hosts}/board"):
        pass


@pytest.fixture
def cluster(valkey: Valkey) -> Iterator[list[Valkey]]:
    """Three masters that share the slots."""
    running: list[Valkey] = []
    options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]
    try:
        for number, port in enumerate(free_ports(NODES, above=10_000)):
            node = Valkey(*options, port=port)
            running.append(node)
            with node.client() as client:
                first, last = number * SLOTS // NODES, (number + 1) * SLOTS // NODES - 1
                client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
                client.execute_command("CLUSTER MEET", LOCAL, running[0].port)

        def whole(node: Valkey) -> bool:
            with node.client() as client:
                state = client.execute_command("CLUSTER INFO")
            # redis-py makes a dictionary of it.
            return state["cluster_state"] == "ok" and int(state["cluster_known_nodes"]) == NODES

        for node in running:
            eventually(lambda node=node: whole(node), what="the cluster is whole")  # type: ignore[misc]
        yield running
    finally:
        for node in running:
            node.stop()


async def test_in_a_cluster_a_ring_reaches_all_nodes(cluster: list[Valkey]) -> None:
    async with two_bells(cluster[0].url, cluster[1].url):
        pass


async def test_in_a_cluster_any_node_may_fail(cluster: list[Valkey]) -> None:
    hosts = [f"{LOCAL}:{node.port}" for node in cluster]
    url = f"redis+cluster://{','.join(hosts)}"
    reversed_url = f"redis+cluster://{','.join(reversed(hosts))}"
    async with two_bells(url, reversed_url) as bells:
        await asyncio.to_thread(cluster[0].kill9)
        await ring_each_other(*bells)
