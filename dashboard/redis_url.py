"""What REDIS_URL means: the connections that channels_redis makes, for every way to run Redis.

    redis://[[user]:password@]host[:6379][/database]        one server; several URLs: shards
    rediss://...                                            the same over TLS
    unix://[[user]:password@]/path/to.sock[?db=0]           a Unix socket
    redis+sentinel://[[user]:password@]host[:26379][,host...]/master[/database]
    redis+cluster://[[user]:password@]host[:6379][,host...] any nodes of a cluster

`rediss+sentinel` and `rediss+cluster` use TLS. Options of redis-py's connections may follow as
?name=value. It serves Valkey as well.
"""

from __future__ import annotations

import re
import socket
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from redis.asyncio import Connection, SSLConnection
from redis.asyncio.connection import AbstractConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

EXPECTED = (
    "expected redis://host:6379/0, rediss://host:6379/0, unix:///path/to.sock, "
    "redis+sentinel://host:26379/master or redis+cluster://host:6379"
)
CONNECT_S = 5.0
SENTINEL_S = 2.0  # one that does not answer must not keep us from asking the next
KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 25_000}
FORMS = {f"{tls}{form}" for tls in ("redis", "rediss") for form in ("", "+sentinel", "+cluster")}


class AnyNode(Connection):
    """A connection to whichever of `nodes` answers: each reconnection begins with the next one.

    In a cluster that is enough for pub/sub: what is published at one node reaches all.
    """

    def __init__(self, *, nodes: list[tuple[str, int]], **options: Any) -> None:
        super().__init__(**options)
        self._nodes = nodes
        self._first = 0

    async def _connect(self) -> None:
        order = self._nodes[self._first :] + self._nodes[: self._first]
        self._first = (self._first + 1) % len(self._nodes)
        for left, (self.host, self.port) in zip(reversed(range(len(order))), order, strict=True):
            try:
                await super()._connect()  # type: ignore[no-untyped-call]
                return
            except (OSError, TimeoutError):
                if not left:
                    raise


class AnyNodeTLS(AnyNode, SSLConnection):
    """The same over TLS."""


def read(text: str) -> list[dict[str, Any]]:
    """The `hosts` of a channels_redis layer. Raises ValueError with one sentence, in which no
    password is."""
    return [_read_one(url.strip()) for url in re.split(r",(?=\s*[a-z+]+://)", text) if url.strip()]


def _read_one(url: str) -> dict[str, Any]:
    scheme, found, rest = url.partition("://")
    if not found or scheme not in (*FORMS, "unix"):
        raise ValueError(f"begins with {(scheme if found else '')!r}: {EXPECTED}")
    if "#" in rest:
        raise ValueError("has a # in it: in a name or password it is written %23")
    if scheme == "unix":
        return _unix(url)
    tls, _, form = scheme.partition("+")
    parts = urlsplit(url)
    user, _, hosts = parts.netloc.rpartition("@")
    nodes = [_node(host, 26379 if form == "sentinel" else 6379) for host in hosts.split(",")]
    if form == "" and len(nodes) > 1:
        raise ValueError(
            "names several hosts in one URL: shards are several URLs (redis://one,redis://two), "
            "and the nodes of a cluster redis+cluster://one,two"
        )
    path = parts.path.strip("/").split("/") if parts.path.strip("/") else []
    query = dict(parse_qsl(parts.query))
    if form == "sentinel":
        return _sentinel(tls, user, nodes, path, query)
    database = _database("/".join(path))
    options = _options(tls, user, nodes[0], database, query)
    if form == "cluster":
        if database:
            raise ValueError(f"asks for database {database}: a cluster has only 0")
        options["connection_class"] = AnyNodeTLS if tls == "rediss" else AnyNode
        options["nodes"] = nodes
    return _tried(options)


def _unix(url: str) -> dict[str, Any]:
    options: dict[str, Any] = dict(_parsed(url))
    if not options.get("path", "/").strip("/"):
        raise ValueError("names no socket: expected unix:///path/to.sock")
    return _tried({**options, "socket_timeout": None})


def _sentinel(
    tls: str,
    user: str,
    nodes: list[tuple[str, int]],
    path: list[str],
    query: dict[str, str],
) -> dict[str, Any]:
    """`/master`, `/master/database` or `/database?master=master`; `sentinel_username` and
    `sentinel_password` are for Sentinels that ask who one is."""
    master = query.pop("master", "") or (path.pop(0) if path else "")
    if not master:
        raise ValueError("names no master: expected redis+sentinel://host:26379/mymaster")
    database = _database("/".join(path))
    known = {
        "username": query.pop("sentinel_username", None),
        "password": query.pop("sentinel_password", None),
    }
    options = _tried(_options(tls, user, nodes[0], database, query))
    del options["host"], options["port"]
    options.pop("connection_class", None)
    secure = {"ssl": True} if tls == "rediss" else {}
    certificates = {name: value for name, value in options.items() if name.startswith("ssl_")}
    return {
        **options,
        **secure,
        "master_name": master,
        "sentinels": nodes,
        "sentinel_kwargs": {
            **known,
            **secure,
            **certificates,
            "socket_timeout": SENTINEL_S,
            "socket_connect_timeout": SENTINEL_S,
            "retry": Retry(NoBackoff(), 0),
        },
    }


def _node(text: str, port: int) -> tuple[str, int]:
    # The name of a host, [an IPv6 address], and a port behind it.
    found = re.fullmatch(r"([\w.-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?", text.strip(), re.ASCII)
    if not found or not 1 <= int(found[2] or port) <= 65535:
        raise ValueError(
            "has no host and port where they belong: expected host:6379 (in a name or password "
            "@ is written %40, / is %2F, ? is %3F and : is %3A)"
        )
    return found[1].strip("[]"), int(found[2] or port)


def _database(text: str) -> int:
    if text and not (text.isascii() and text.isdigit()):
        raise ValueError(f"has {'/' + text!r} where the number of a database belongs, such as /0")
    return int(text or 0)


def _options(
    tls: str, user: str, node: tuple[str, int], database: int, query: dict[str, str]
) -> dict[str, Any]:
    """What redis-py makes of it, and what it takes to notice a peer that is gone for good."""
    who = f"{user}@" if user else ""
    asked = f"?{urlencode(query)}" if query else ""
    return {
        "db": database,
        "socket_connect_timeout": CONNECT_S,
        "socket_keepalive": True,
        "socket_keepalive_options": {
            getattr(socket, name): value
            for name, value in KEEPALIVE.items()
            if hasattr(socket, name)
        },
        **_parsed(f"{tls}://{who}unused{asked}"),
        "host": node[0],
        "port": node[1],
        # A subscription may be silent for hours: with a time-out its reader dies of it.
        "socket_timeout": None,
    }


def _parsed(url: str) -> dict[str, Any]:
    """redis-py's own reading of user, password and options."""
    try:
        return dict(parse_url(url))
    except ValueError as error:
        raise ValueError(f"is not understood: {str(error).rstrip('.')}") from None


def _tried(options: dict[str, Any]) -> dict[str, Any]:
    """The same options, once a connection (that connects to nothing yet) has taken them."""
    rest = {name: value for name, value in options.items() if name != "connection_class"}
    kind: type[AbstractConnection] = options.get("connection_class", Connection)
    try:
        kind(**rest)
    except TypeError as error:
        unknown = re.search(r"argument '(\w+)'", str(error))
        raise ValueError(
            f"has the option {unknown[1] if unknown else '?'!r}, which redis-py's connections "
            "do not know"
        ) from None
    except Exception as error:
        raise ValueError(f"is not understood: {error}") from None
    return options
