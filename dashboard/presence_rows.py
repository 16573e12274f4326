"""What serving processes tell each other of who is on a dashboard: a row of each, with a lease.

A row is rewritten when its content has changed, and as it is every few seconds while other
processes have one too: then somebody reads it. Its age is told by the database's clock, so the
clocks of several machines do not matter; one that is older than LEASE_S is of a process that has
died, or is alone, and does not count.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
from django.db import transaction
from django.db.models import DurationField, ExpressionWrapper, F
from django.db.models.functions import Now

from dashboard.models import Present

logger = logging.getLogger(__name__)

# A process that was killed is forgotten LEASE_S after its last beat, in others within TICK_S and
# REST_S of dashboard.presence more: less than 10 s in all. Alive it may miss one beat.
LEASE_S = 7.0
BEAT_S = 1.5  # at most one in so long; there is one in SYNC_S
ALONE_BEAT_S = 20.0  # by which processes that were both held up for long find each other again
AHEAD_S = 1.0  # a clock that was set back makes rows of the future: these do not count either
FORGOTTEN_S = 60.0  # rows older than this are deleted
PROCESSES = 500  # at most so many are listened to, those with the newest rows
HOST_CHARACTERS = 50


class Here(msgspec.Struct, array_like=True):
    """Who is on one dashboard in one process: (Viewer.name, name, away), and how many more."""

    people: list[tuple[str, str, bool]]
    more: int = 0


Content = dict[str, Here]  # by the dashboard's slug
Found = dict[str, tuple[Content, float]]  # by process: what it tells, and its age in seconds

_decoder = msgspec.json.Decoder(Content)


def encode(content: Content) -> str:
    return msgspec.json.encode(content).decode()


class Rows:
    """This process's row, and those of the others. `now` is the database's clock.

    Its methods are called on threads.
    """

    def __init__(
        self,
        now: Callable[[], Any] = Now,
        steady_s: Callable[[], float] = time.monotonic,
    ) -> None:
        host = socket.gethostname()[:HOST_CHARACTERS]
        self._process = f"{host}:{os.getpid()}:{secrets.token_hex(8)}"
        self._now = now
        self._steady_s = steady_s
        self._lock = threading.Lock()
        self._left = False
        self._written: str | None = None
        self._version = 0
        self._beat_s = 0.0  # steady
        self._known: dict[str, tuple[int, Content]] = {}

    @property
    def are_there(self) -> bool:
        """Whether this process has a row."""
        return self._written is not None

    def exchange(self, content: str | None) -> tuple[bool, Found]:
        """Reads what other processes tell, and writes what this one does, if that is due.

        Whether something new was written, and the rows that count. None: nobody is here, so
        there is no row, and nothing is read. Raises database errors.
        """
        with self._lock:
            if self._left:
                return False, {}
            if content is None:
                return self._take_back(), {}
            found = self._read()
            return self._write(content), found

    def leave(self) -> None:
        """Deletes this process's row; from now on nothing is written. Raises database errors."""
        with self._lock:
            self._left = True
            self._take_back()

    def _take_back(self) -> bool:
        if self._written is None:
            return False
        Present.objects.filter(pk=self._process).delete()
        self._written = None
        return True

    def _write(self, content: str) -> bool:
        steady_s = self._steady_s()
        changed = content != self._written
        rest_s = BEAT_S if self._known else ALONE_BEAT_S
        if not changed and steady_s - self._beat_s < rest_s:
            return False
        self._version += changed
        told = {"people": content, "version": self._version}
        with transaction.atomic():
            mine = Present.objects.filter(pk=self._process)
            if not mine.update(seen_at=self._now(), **(told if changed else {})):
                Present.objects.create(process=self._process, seen_at=self._now(), **told)
        self._written, self._beat_s = content, steady_s
        return changed

    def _read(self) -> Found:
        age = ExpressionWrapper(self._now() - F("seen_at"), DurationField())
        others = Present.objects.exclude(pk=self._process).annotate(age=age)
        rows: list[tuple[str, int, timedelta]] = list(
            others.order_by("-seen_at").values_list("process", "version", "age")[:PROCESSES]
        )
        ages = {process: age.total_seconds() for process, _, age in rows}
        dead = [process for process, age_s in ages.items() if abs(age_s) > FORGOTTEN_S]
        if dead:
            Present.objects.filter(pk__in=dead).delete()
        versions = {
            process: version for process, version, _ in rows if -AHEAD_S <= ages[process] < LEASE_S
        }
        self._learn(versions)
        return {process: (content, ages[process]) for process, (_, content) in self._known.items()}

    def _learn(self, versions: dict[str, int]) -> None:
        """Reads the content of those whose version is not known yet, and forgets who is gone."""
        self._known = {one: known for one, known in self._known.items() if one in versions}
        news = [
            process
            for process, version in versions.items()
            if process not in self._known or self._known[process][0] != version
        ]
        if news:
            fresh = Present.objects.filter(pk__in=news).values_list("process", "version", "people")
            for process, version, people in fresh:
                self._known[process] = (version, _decoded(people, process))


def _decoded(people: str, process: str) -> Content:
    try:
        return _decoder.decode(people)
    except (msgspec.DecodeError, UnicodeError) as error:  # of another version of this program
        logger.debug("who is at %s cannot be read: %s", process, error)
        return {}
