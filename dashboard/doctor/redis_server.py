"""Checks of Redis or Valkey, where REDIS_URL names one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from channels_redis.utils import create_pool
from redis.asyncio import Redis
from redis.exceptions import RedisError

from dashboard.doctor.finding import Finding, fail, ok, warn
from dashboard.doctor.machine import numbers

LEAST_VERSION = "6.0"
TIMEOUT_S = 5.0
LEAST_BUFFER_BYTES = 8 * 1024 * 1024
KEEPS_OTHERS_KEYS = ("", "noeviction", "volatile-lru", "volatile-lfu", "volatile-ttl")


@dataclass(frozen=True, slots=True)
class Told:
    """What a server says of itself; empty where it does not tell."""

    version: str
    policy: str = ""
    buffer_limits: str = ""


def redis(hosts: list[dict[str, Any]]) -> Iterator[Finding]:
    """Whether every server answers and is set up for a channel layer."""
    for host in hosts:
        try:
            told = asyncio.run(ask(dict(host)))
        except (RedisError, OSError, TimeoutError) as error:
            said = " ".join(str(error).split()) or type(error).__name__
            yield fail(
                "Redis",
                f"it does not answer ({said}): see REDIS_URL and that it runs. Until then "
                "processes hear of each other by the log's tail only.",
            )
        else:
            yield from judge(told)


async def ask(host: dict[str, Any]) -> Told:
    """Asks one server. Raises RedisError, OSError or TimeoutError."""
    client = Redis(connection_pool=create_pool(host))
    try:
        async with asyncio.timeout(TIMEOUT_S):
            info = await client.info("server")
            version = str(info.get("valkey_version") or info.get("redis_version", ""))
            try:
                names = ("maxmemory-policy", "client-output-buffer-limit")
                policy, limits = [(await client.config_get(name)).get(name, "") for name in names]
            except RedisError:
                return Told(version)  # a managed one keeps its settings to itself
            return Told(version, str(policy), str(limits))
    finally:
        await client.aclose()
        await client.connection_pool.disconnect()


def judge(told: Told) -> Iterator[Finding]:
    """What is to be said of a server that answers."""
    if numbers(told.version) < numbers(LEAST_VERSION):
        yield fail("Redis", f"version {told.version}: {LEAST_VERSION} or newer is needed.")
    else:
        yield ok("Redis", f"version {told.version} answers.")
    if told.policy not in KEEPS_OTHERS_KEYS:
        yield warn(
            "Redis",
            f"maxmemory-policy={told.policy} may throw away what others keep in it: give "
            "Pulseboard a Redis of its own, or set noeviction.",
        )
    words = told.buffer_limits.split()
    hard, soft, seconds = words[words.index("pubsub") + 1 :][:3] if "pubsub" in words else "000"
    if 0 < int(hard) < LEAST_BUFFER_BYTES:
        yield warn(
            "Redis",
            f"client-output-buffer-limit pubsub {hard} {soft} {seconds} cuts off a process that is "
            "busy for a moment: CONFIG SET client-output-buffer-limit 'pubsub 32mb 8mb 60'.",
        )
