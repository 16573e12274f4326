"""/healthz: the process answers. /readyz: it can serve. For load balancers and supervisors."""

from __future__ import annotations

import asyncio

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

DATABASE_TIMEOUT_SECONDS = 3.0

# Aliases of databases whose migrations were all there; they are not undone under a process.
_migrated: set[str] = set()


@login_not_required
@require_safe
async def healthz(request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers at all."""
    return _answer(200, {"status": "ok"})


@login_not_required
@require_safe
async def readyz(request: HttpRequest) -> JsonResponse:
    """200 when requests should come here, else 503 with the reason."""
    reason = "" if not draining() else "This process is shutting down."
    if not reason:
        try:
            async with asyncio.timeout(DATABASE_TIMEOUT_SECONDS):
                reason = await sync_to_async(database_fault, thread_sensitive=False)()
        except TimeoutError:
            reason = f"The database did not answer within {DATABASE_TIMEOUT_SECONDS:g} seconds."
    if reason:
        return _answer(503, {"status": "unavailable", "reason": reason})
    return _answer(200, {"status": "ok"})


def draining() -> bool:
    """Whether `serve` was asked to stop."""
    from dashboard.server import state

    return bool(state.draining)


def database_fault() -> str:
    """Why the database cannot be used, as a sentence; empty when it can."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
        if connection.alias not in _migrated:
            executor = MigrationExecutor(connection)
            if executor.migration_plan(executor.loader.graph.leaf_nodes()):
                return "Migrations are missing: run manage.py migrate."
            _migrated.add(connection.alias)
    except DatabaseError as error:
        connection.close()
        return f"The database does not answer ({type(error).__name__})."
    return ""


def _answer(status: int, content: dict[str, str]) -> JsonResponse:
    response = JsonResponse(content, status=status)
    response["Cache-Control"] = "no-store"
    return response
