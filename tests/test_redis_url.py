"""REDIS_URL: a wrong one is named at the start in one sentence, a right one becomes connections."""

from __future__ import annotations

import re
from typing import Any

import pytest
from channels_redis.utils import create_pool
from django.core.exceptions import ImproperlyConfigured
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection
from redis.asyncio.sentinel import SentinelManagedSSLConnection

from dashboard.environment import Environment
from dashboard.redis_url import AnyNode, AnyNodeTLS


def hosts(url: str) -> list[dict[str, Any]]:
    return Environment({"REDIS_URL": url}).redis("REDIS_URL")


def connection(url: str) -> Any:
    """The connection that channels_redis makes for the URL; it connects to nothing yet."""
    (host,) = hosts(url)
    return create_pool(host).make_connection()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://h", "REDIS_URL begins with 'http': expected redis://host:6379/0"),
        ("localhost:6379", "REDIS_URL begins with '': expected redis://host:6379/0"),
        ("redis://", "REDIS_URL has no host and port where they belong: expected host:6379"),
        ("redis://h:port", "has no host and port where they belong"),
        ("redis://h:70000", "has no host and port where they belong"),
        ("redis://:pass/word@h", "in a name or password @ is written %40, / is %2F"),
        ("redis://:pass#word@h", "in a name or password it is written %23"),
        ("redis://h/first", "'/first' where the number of a database belongs, such as /0"),
        ("redis://h?db=x", "Invalid value for 'db' in connection URL."),
        ("redis://h?tls=1", "has the option 'tls', which redis-py's connections do not know"),
        ("rediss://h?ssl_cert_reqs=maybe", "is not understood: Invalid SSL Certificate"),
        ("redis://one,two", "shards are several URLs (redis://one,redis://two)"),
        ("unix://", "names no socket: expected unix:///path/to.sock"),
        ("redis+sentinel://h", "names no master: expected redis+sentinel://host:26379/mymaster"),
        ("redis+sentinel://h/mymaster/x", "'/x' where the number of a database belongs"),
        ("redis+cluster://h/1", "asks for database 1: a cluster has only 0"),
        ("redis://one,http://two", "begins with 'http'"),
    ],
)
def test_a_wrong_one_is_named_in_one_sentence(url: str, sentence: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=re.escape(sentence)) as refused:
        hosts(url)
    assert str(refused.value).count("\n") == 0
    assert "word" not in str(refused.value).replace("password", ""), "it tells no secret"


def test_none_is_none() -> None:
    assert hosts("") == []


def test_user_password_and_database_are_taken_apart() -> None:
    one = connection("redis://ann:p%40%2Fss@redis.example.org:7000/3")
    assert (one.host, one.port, one.db) == ("redis.example.org", 7000, 3)
    assert (one.username, one.password) == ("ann", "p@/ss")


def test_an_address_may_be_ipv6() -> None:
    one = connection("redis://[::1]:7000")
    assert (one.host, one.port) == ("::1", 7000)


def test_tls_is_asked_for_and_the_certificate_is_checked() -> None:
    one = connection("rediss://h?ssl_ca_certs=/etc/ca.pem")
    assert isinstance(one, SSLConnection)
    assert (one.ca_certs, one.check_hostname) == ("/etc/ca.pem", True)
    assert connection("rediss://h?ssl_check_hostname=no").check_hostname is False


def test_a_unix_socket_has_a_path_and_a_database() -> None:
    one = connection("unix://:secret@/run/valkey.sock?db=2")
    assert isinstance(one, UnixDomainSocketConnection)
    assert (one.path, one.db, one.password) == ("/run/valkey.sock", 2, "secret")


def test_several_urls_are_shards() -> None:
    assert [one["host"] for one in hosts("redis://one, rediss://:a,b@two/1")] == ["one", "two"]


@pytest.mark.parametrize("path", ["/mymaster/2", "/2?master=mymaster"])
def test_sentinels_are_asked_for_the_master(path: str) -> None:
    (host,) = hosts(f"redis+sentinel://:secret@one,two:26380{path}")
    assert host["sentinels"] == [("one", 26379), ("two", 26380)]
    assert (host["master_name"], host["db"], host["password"]) == ("mymaster", 2, "secret")
    assert host["sentinel_kwargs"]["password"] is None


def test_sentinels_may_ask_for_a_password_and_for_tls_too() -> None:
    url = "rediss+sentinel://one/mymaster?sentinel_username=ann&sentinel_password=x&ssl_ca_certs=/c"
    (host,) = hosts(url)
    asked = host["sentinel_kwargs"]
    assert (asked["username"], asked["password"]) == ("ann", "x")
    assert asked["ssl"] is True and asked["ssl_ca_certs"] == "/c"
    assert isinstance(connection(url), SentinelManagedSSLConnection)


@pytest.mark.parametrize(
    ("url", "kind"), [("redis+cluster://a,b:7", AnyNode), ("rediss+cluster://a,b:7", AnyNodeTLS)]
)
def test_any_node_of_a_cluster_will_do(url: str, kind: type[AnyNode]) -> None:
    one = connection(url)
    assert type(one) is kind
    assert one._nodes == [("a", 6379), ("b", 7)]


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "redis://h?socket_timeout=5",
        "rediss://h",
        "unix:///s",
        "redis+sentinel://h/m",
        "redis+cluster://h",
    ],
)
def test_a_silent_subscription_never_times_out(url: str) -> None:
    """redis-py's own time-out (5 s from version 8 on) ends idle readers one after the other."""
    assert connection(url).socket_timeout is None


@pytest.mark.parametrize("url", ["redis://h", "redis+sentinel://h/m", "redis+cluster://h"])
def test_a_peer_that_is_gone_for_good_is_noticed(url: str) -> None:
    one = connection(url)
    assert one.socket_keepalive and one.socket_keepalive_options
    assert one.socket_connect_timeout == 5.0
