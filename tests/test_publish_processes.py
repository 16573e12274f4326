"""publish in processes that end, fork or die: nothing is lost in silence, nothing counts twice."""

from __future__ import annotations

import pytest
from django.db import connection

from metrics.models import Total
from tests.support.samples import stored
from tests.support.store import Program, log_held


def run(store: str, code: str, status: int = 0) -> Program:
    """Runs `code` in a process of its own, to its end."""
    connection.close()
    program = Program(store, "import os, sys\nfrom metrics import publish\n" + code)
    program.started().go().finish(status)
    return program


def total(metric: str) -> float:
    return Total.objects.get(series__metric__name=metric).value


def test_a_process_that_cannot_store_what_it_has_says_how_much_it_lost(store: str) -> None:
    code = """
from metrics import publisher
publisher.EXIT_S = 0.1
publish.gauge("load", 1)
publish.counter("orders_total")
"""
    with log_held(store):
        ended = run(store, code)
    assert "2 samples were dropped (2 so far): the process ended" in ended.errors
    assert stored("load") == {}


def test_a_short_lived_process_stores_all_it_published(store: str) -> None:
    run(
        store,
        """
for number in range(5000):
    publish.counter("orders_total")
publish.gauge("load", 7)
""",
    )
    assert total("orders_total") == 5000
    assert [*stored("load").values()] == [7.0]


def test_a_process_that_fails_stores_what_it_published_before(store: str) -> None:
    run(store, "publish.counter('orders_total', 3)\nraise SystemExit(4)", status=4)
    assert total("orders_total") == 3


def test_what_is_published_while_the_process_ends_is_stored(store: str) -> None:
    run(
        store,
        """
import atexit
atexit.register(publish.counter, "late_total")  # runs after what publish registers later
publish.counter("orders_total")
""",
    )
    assert (total("orders_total"), total("late_total")) == (1, 1)


FORK = """
publish.counter("orders_total", 1)
children = []
for number in range(4):
    child = os.fork()
    if child == 0:
        publish.counter("orders_total", 10)
        publish.gauge("load", number, child=number)
        assert publish.dropped() == 0
        sys.exit(0)
    children.append(child)
publish.counter("orders_total", 1)
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
"""


def test_a_fork_neither_loses_nor_doubles(store: str) -> None:
    run(store, FORK)
    assert total("orders_total") == 42
    assert [len(stored("load", {"child": str(number)})) for number in range(4)] == [1] * 4


MULTIPROCESSING = """
import multiprocessing

def job(number):
    publish.counter("orders_total", number)

publish.counter("orders_total", 1)
fork = multiprocessing.get_context("fork")
children = [fork.Process(target=job, args=(10,)) for _ in range(4)]
for child in children:
    child.start()
for child in children:
    child.join()
assert [child.exitcode for child in children] == [0] * 4
with fork.Pool(2) as pool:
    pool.map(job, [100] * 6)
    pool.close()
    pool.join()
"""


def test_the_children_of_multiprocessing_store_what_they_published(store: str) -> None:
    run(store, MULTIPROCESSING)
    assert total("orders_total") == 641


FORK_OF_A_SERVER = """
from metrics import bell, catalog, writer
from metrics.clock import now_ms
from metrics.samples import Sample
writer.start()
heard = []
bell.listen(heard.append)
publish.record([Sample("orders", 1.0)])
from django.db import connection
connection.close()
child = os.fork()
if child == 0:
    publish.record([Sample("orders", 2.0), Sample("new", 2.0)])  # by itself: the writer is gone
    assert len(heard) == 1
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
publish.record([Sample("orders", 3.0)])
assert [float(one.columns.values[0]) for one in heard] == [1.0, 3.0]
writer.stop()
"""


def test_a_child_of_a_process_with_a_writer_commits_by_itself(store: str) -> None:
    run(store, FORK_OF_A_SERVER)
    assert [*stored("orders").values()] == [1.0, 2.0, 3.0]
    assert [*stored("new").values()] == [2.0]


ASYNC_JOB = """
import asyncio

async def job():
    await publish.acounter("orders_total", 2)
    await publish.aevent("done")

asyncio.run(job())
"""


@pytest.mark.parametrize("times", [3])
def test_short_lived_async_jobs_add_up(store: str, times: int) -> None:
    for _ in range(times):
        run(store, ASYNC_JOB)
    assert total("orders_total") == 2 * times
