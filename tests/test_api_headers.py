"""The security headers on every answer, and the two health addresses."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import Mock

import pytest
from asgiref.sync import iscoroutinefunction
from django.contrib.auth.models import User
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory, Client, RequestFactory

from dashboard import headers, health
from dashboard.server import state

pytestmark = pytest.mark.django_db


def assert_secure(response: Any) -> None:
    policy = dict(
        part.strip().partition(" ")[::2] for part in response["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == policy["object-src"] == policy["base-uri"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert policy["connect-src"].startswith("'self'")
    assert "unsafe" not in response["Content-Security-Policy"]
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Referrer-Policy"] == "same-origin"
    assert response["Cross-Origin-Opener-Policy"] == "same-origin"
    assert response["X-Frame-Options"] == "DENY"
    assert "no-store" in response["Cache-Control"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200), ("/metrics/", 200), ("/password/", 200), ("/admin/", 200), ("/live/", 426),
        ("/healthz", 200), ("/readyz", 200), ("/nope", 404), ("/signout/", 405),
        ("/api/v1/samples", 405), ("/signin/", 302),
    ],
)  # fmt: skip
def test_every_answer_has_the_security_headers(client: Client, path: str, status: int) -> None:
    client.force_login(User.objects.create_superuser("root"))
    response = client.get(path)
    assert response.status_code == status
    assert_secure(response)


def test_a_refused_host_has_the_security_headers_too(client: Client) -> None:
    response = client.get("/signin/", headers={"Host": "evil.example"})
    assert response.status_code == 400
    assert_secure(response)


@pytest.mark.parametrize(
    ("host", "secure", "socket"),
    [
        ("localhost:8000", False, " ws://localhost:8000"),
        ("[::1]:8000", False, " ws://[::1]:8000"),
        ("metrics.example.org", True, " wss://metrics.example.org"),
        ("a; script-src *", False, ""),
        ("a b", False, ""),
        ("", False, ""),
    ],
)
def test_the_policy_names_the_sockets_own_address(host: str, secure: bool, socket: str) -> None:
    request = RequestFactory().get("/", secure=secure, headers={"Host": host})
    assert f"connect-src 'self'{socket};" in headers.policy(request)
    assert headers.policy(request).count("script-src") == 1


async def test_the_headers_cost_the_event_loop_no_thread() -> None:
    threads: list[object] = []

    async def view(request: HttpRequest) -> HttpResponse:
        threads.append(asyncio.get_running_loop())
        return HttpResponse("ok", headers={"Cache-Control": "max-age=60"})

    middleware = headers.SecurityHeaders(view)
    assert iscoroutinefunction(middleware)
    response: Any = await middleware(AsyncRequestFactory().get("/"))
    assert threads == [asyncio.get_running_loop()]
    assert response["Content-Security-Policy"]
    assert response["Cache-Control"] == "max-age=60", "what a view says stays"


# Health


def test_health_needs_no_sign_in(client: Client) -> None:
    for path in ("/healthz", "/readyz"):
        response = client.get(path)
        assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_a_load_balancer_may_ask_by_address(client: Client) -> None:
    """It names what it connects to, which is nothing that ALLOWED_HOSTS should hold."""
    by_address = {"host": "10.0.0.5:8000"}
    for path in ("/healthz", "/readyz"):
        assert client.get(path, headers=by_address).status_code == 200
    assert client.get("/signin/", headers=by_address).status_code == 400


def test_who_is_shutting_down_is_not_ready(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "draining", True)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert "shutting down" in response.json()["reason"]
    assert client.get("/healthz").status_code == 200


def test_without_its_database_it_is_not_ready(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = Mock(**{"cursor.side_effect": OperationalError("no such host db.internal")})
    monkeypatch.setattr(health, "connection", gone)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert "db.internal" not in response.content.decode()


def test_with_missing_migrations_it_is_not_ready(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_migrated", set())
    plan = "dashboard.health.MigrationExecutor.migration_plan"
    monkeypatch.setattr(plan, lambda *args: [("x", False)])
    response = client.get("/readyz")
    assert response.status_code == 503
    assert "manage.py migrate" in response.json()["reason"]
