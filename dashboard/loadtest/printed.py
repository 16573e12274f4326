"""The figures of a load test as lines to read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MIB = 2**20


def lines(found: dict[str, Any]) -> Iterator[str]:
    plan, values = found["plan"], found["values"]
    others = f", {plan['slow']:,} of them slow, {plan['stuck']:,} stuck"
    yield (
        f"{plan['sockets']:,} sockets{others if plan['slow'] or plan['stuck'] else ''}; "
        f"{plan['form']}; {found['seconds']:g} s"
    )
    yield (
        f"Frames: {found['frames']:,}, {found['frames_per_second']:,.0f} a second, "
        f"{found['bytes_per_second'] / 1000:,.0f} kB a second"
    )
    yield f"Latency, from publishing to the client: {_quantiles(found['latency_ms'])}"
    if found["published"]["calls"]:
        yield (
            f"Published: {found['published']['calls']:,} times {plan['series']:,} series, "
            f"{found['published']['per_second']:g} a second; answered within "
            f"{_quantiles(found['published']['answered_ms'])}"
        )
        yield (
            f"Values due to clients that read: {values['due']:,}; shown {values['shown']:,}, "
            f"replaced by a newer one {values['replaced']:,}, never came {values['lost']:,}"
        )
    yield (
        f"Order: {found['gaps']:,} gaps by cursor, {found['steps_back']:,} steps back; "
        f"{found['conflated']:,} frames were merged for slow readers; "
        f"{found['reconnects']:,} reconnects, {found['snapshots']:,} snapshots"
    )
    yield f"Closed by the server: {_closes(found['closes'])}"
    yield f"Server's memory: {_memory(found['server_memory'], plan['sockets'])}"


def is_whole(found: dict[str, Any]) -> bool:
    """Whether every client that reads has, in order, the newest state."""
    return not (found["values"]["lost"] or found["gaps"] or found["steps_back"])


def _quantiles(found: dict[str, float] | None) -> str:
    if not found:
        return "nothing to measure"
    return ", ".join(f"{name} {ms:g} ms" for name, ms in found.items() if name != "count")


def _closes(found: list[dict[str, Any]]) -> str:
    if not found:
        return "none"
    parts = (
        f"{one['count']:,} x {one['code']}" + (f" ({one['reason']})" if one["reason"] else "")
        for one in found
    )
    return "; ".join(parts)


def _memory(found: dict[str, int] | None, sockets: int) -> str:
    if not found:
        return "not known (the server is on another machine, or another user's)"
    growth = (found["opened_bytes"] - found["before_bytes"]) / sockets
    return (
        f"{found['before_bytes'] / MIB:,.1f} MiB before, {found['opened_bytes'] / MIB:,.1f} with "
        f"all sockets open ({growth / 1000:,.1f} kB each), {found['most_bytes'] / MIB:,.1f} at the "
        f"most, {found['end_bytes'] / MIB:,.1f} at the end"
    )
