"""Fixtures for all tests. Servers and browsers are real; what cannot run is skipped aloud.

`pytest --database postgresql` runs what uses a database on PostgreSQL (tests/support/database.py).
With PULSEBOARD_REQUIRE_ALL=1 a skipped browser, PostgreSQL, Redis or shared-data test is a failure.
"""

from __future__ import annotations

# isort: off
from tests.support import environment  # before Django reads its settings

# isort: on
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from tests.support import database
from tests.support.chromium import MISSING, find_chromium, launch_arguments
from tests.support.product import Product

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

    from metrics.publisher import Publisher
    from tests.support.postgres import Databases
    from tests.support.traffic import Traffic
    from tests.support.valkey import Valkey

REQUIRE_ALL = os.environ.get("PULSEBOARD_REQUIRE_ALL") == "1"
MARK_OF_FIXTURE = {"chromium": "browser", "postgres": "postgres", "valkey": "redis"}
REQUIRED_MARKS = {*MARK_OF_FIXTURE.values(), "shared"}
LOG_SHOWN_CHARACTERS = 8000
PAGE_TIMEOUT_MS = 60_000
PRODUCTS = pytest.StashKey[list[Product]]()

NewServer = Callable[..., Product]


def pytest_addoption(parser: pytest.Parser) -> None:
    database.add_option(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Signing in is not what most tests are about: hash their passwords quickly.

    An example of Hypothesis may take as long as a busy machine needs.
    """
    hypothesis.settings.register_profile("busy", deadline=None)
    hypothesis.settings.load_profile("busy")
    database.start(config, REQUIRE_ALL)
    from django.conf import settings

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def pytest_unconfigure(config: pytest.Config) -> None:
    database.stop(config)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Workers of `pytest -n` prepare their own environment before Django reads its settings."""
    del os.environ["DJANGO_SETTINGS_MODULE"]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """A worker of `pytest -n` is about to start."""
    database.tell_worker(node.config, node.workerinput)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks tests by the fixtures they use, and puts browser tests last.

    Playwright keeps an event loop in the main thread; async tests cannot follow it.
    """
    for item in items:
        for fixture, mark in MARK_OF_FIXTURE.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(mark)
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)
    database.choose(config, items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fails what may not be skipped, and shows the server's log beside a failure."""
    report = yield
    needed = [mark for mark in REQUIRED_MARKS if item.get_closest_marker(mark)]
    if REQUIRE_ALL and needed and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"may not be skipped here: {report.longrepr}"
    if report.failed:
        for product in item.stash.get(PRODUCTS, []):
            report.sections.append(("server log", product.output[-LOG_SHOWN_CHARACTERS:]))
    return report


@pytest.fixture(scope="session")
def django_db_setup(
    django_db_setup: None, django_db_blocker: Any, pytestconfig: pytest.Config
) -> Iterator[None]:
    """The test database, which is quickly emptied, and is nobody's in the end."""
    if database.running(pytestconfig):
        database.empty_quickly()
    yield
    with django_db_blocker.unblock():
        database.end_connections(pytestconfig)


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder with a short path (a Unix socket fits), gone after the test."""
    path = Path(tempfile.mkdtemp(dir=environment.FOLDER))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def new_database(pytestconfig: pytest.Config) -> Callable[..., str] | None:
    """Gives the URL of a database for a product; None where it makes a file for itself."""
    return database.for_products(pytestconfig)


@pytest.fixture
def new_server(
    request: pytest.FixtureRequest, folder: Path, new_database: Callable[..., str] | None
) -> Iterator[NewServer]:
    """Starts the product with settings of the test's choice: new_server({"TICK_MS": "20"}).

    Every call is another product with a data folder and a database of its own; start=False only
    prepares it, with no tables.
    """
    products: list[Product] = []
    request.node.stash[PRODUCTS] = products

    def make(variables: Mapping[str, str] | None = None, *, start: bool = True) -> Product:
        own_folder = folder / f"server-{len(products) + 1}"
        own_folder.mkdir()
        of_its_own = new_database and partial(new_database, migrated=start)
        product = Product(own_folder, variables, of_its_own)
        products.append(product)
        if start:
            product.start()
        return product

    yield make
    for product in products:
        product.close()


@pytest.fixture
def server(new_server: NewServer) -> Product:
    """The product, started as users start it."""
    return new_server()


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> Iterator[Databases]:
    """A real PostgreSQL; skips the test where it cannot run."""
    if shared := database.running(pytestconfig):
        yield shared
        return
    try:
        from tests.support.postgres import Postgres

        running = Postgres()
    except Exception as error:
        pytest.skip(f"PostgreSQL cannot run here: {error}")
    yield running
    running.stop()


@pytest.fixture
def postgres_url(postgres: Databases) -> str:
    """The URL of a new, empty PostgreSQL database."""
    return postgres.new_database()


@pytest.fixture(scope="session")
def _migrated_postgres_url(postgres: Databases, django_db_blocker: Any) -> str:
    from django.core.management import call_command

    from tests.support.store import default_database

    url = postgres.new_database()
    database.empty_quickly()
    with django_db_blocker.unblock(), default_database(url):
        call_command("migrate", verbosity=0)
    return url


@pytest.fixture(
    params=[
        pytest.param("sqlite", marks=pytest.mark.django_db(transaction=True)),
        pytest.param("postgres", marks=pytest.mark.postgres),
    ]
)
def store(request: pytest.FixtureRequest, django_db_blocker: Any) -> Iterator[str]:
    """Django's database is empty, real, and SQLite or PostgreSQL; its URL for other processes."""
    from django.core.management import call_command
    from django.db import connection

    from tests.support.store import default_database

    if request.param == "sqlite":
        yield f"sqlite://{connection.settings_dict['NAME']}"
        return
    url: str = request.getfixturevalue("_migrated_postgres_url")
    with django_db_blocker.unblock(), default_database(url):
        yield url
        call_command("flush", verbosity=0, interactive=False)


@pytest.fixture
def publisher(store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    """The background of `publish`, of this test alone."""
    from metrics import publish
    from metrics.publisher import Publisher

    one = Publisher()
    monkeypatch.setattr(publish, "_publisher", one)
    yield one
    assert one.flush(10)


@pytest.fixture(autouse=True)
def _forgetful_catalog() -> Iterator[None]:
    """Ids of series, and what was measured, mean nothing once the test's database is gone."""
    from metrics import catalog, deleting, sizes, vacuum

    yield
    for module in (catalog, deleting, sizes, vacuum):
        module.forget()


@pytest.fixture(scope="session")
def _valkey_process() -> Iterator[Valkey]:
    try:
        from tests.support.valkey import Valkey

        running = Valkey()
    except Exception as error:
        pytest.skip(f"Valkey (Redis) cannot run here: {error}")
    yield running
    running.stop()


@pytest.fixture
def valkey(_valkey_process: Valkey) -> Valkey:
    """A real Redis-compatible server, running and empty; kill9() and start() are allowed."""
    _valkey_process.start()
    _valkey_process.empty()
    return _valkey_process


@pytest.fixture
def redis_url(valkey: Valkey) -> str:
    """The URL of a running, empty Redis-compatible server."""
    return valkey.url


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A real Chromium; skips the test where there is none."""
    path = find_chromium()
    if path is None:
        pytest.skip(MISSING)
    from playwright.sync_api import sync_playwright

    # Playwright's loop runs in this thread, so Django would refuse its ORM to these tests.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=launch_arguments())
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def context_options() -> dict[str, Any]:
    """What the page's browser context is made with; override it for a phone or dark colours."""
    return {"viewport": {"width": 1280, "height": 800}}


@pytest.fixture
def context(chromium: Browser, context_options: dict[str, Any]) -> Iterator[BrowserContext]:
    """A browser window of its own: no cookies, no cache."""
    made = chromium.new_context(**context_options)
    made.set_default_timeout(PAGE_TIMEOUT_MS)
    yield made
    made.close()


@pytest.fixture
def traffic(context: BrowserContext) -> Iterator[Traffic]:
    """What the page does; at the end the test fails if the page complained."""
    from tests.support.traffic import Traffic

    listening = Traffic(context.new_page())
    yield listening
    listening.assert_no_problems()


@pytest.fixture
def page(traffic: Traffic) -> Page:
    """A browser page that is listened to from its first request."""
    return traffic.page
