"""Those who broadcast, ours and others: how each is started, watched and published to.

All do the same work: one publisher posts ten updates of about 300 bytes at a time over HTTP, and
each goes to every client. What more or less somebody does is said in docs/benchmarks.md.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

from benchmarks import installing
from benchmarks.installing import CannotInstall
from benchmarks.peer import free_port
from benchmarks.processes import Pulseboard, Server
from benchmarks.publisher import LINES_PER_PANEL, expressions
from dashboard.loadtest.reader import Greeting, watching
from dashboard.loadtest.wire import BINARY_FORM, JSON_FORM

PANELS = 10
# Ours sends the least and the greatest value of each step too; so many series make 300 bytes.
LINES = {JSON_FORM: 4, BINARY_FORM: 10}
# The shortest tick, so that it is the processor that ends the growth and not the tick.
VARIABLES = {"TICK_MS": "10", "CONNECTIONS_PER_USER": "20000", "CONNECTIONS": "20000"}
NCHAN = "ngx_nchan_module.so"
MODULE_FOLDERS = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/etc/nginx/modules")
NGINX_READY_S = 10.0


@dataclass(frozen=True)
class Running:
    """A system that runs; `how` is the publisher's way to it, `lines` the series of a panel."""

    server: Server
    how: str
    greeting: Greeting
    token: str = ""
    lines: int = LINES_PER_PANEL


@dataclass(frozen=True)
class System:
    """`start` may raise CannotInstall with the reason why it is not measured here."""

    name: str
    start: Callable[[Path], AbstractContextManager[Running]]


class Nginx(Server):
    """One worker of nginx with nchan."""

    def __init__(self, folder: Path, module: Path) -> None:
        super().__init__([], folder)
        self.port = free_port()
        config = folder / "nginx.conf"
        config.write_text(_nginx_config(folder, module, self.port))
        self.command = ["nginx", "-p", str(folder), "-e", str(folder / "error.log"),
                        "-c", str(config)]  # fmt: skip

    def wait_until_ready(self) -> None:
        end_s = time.monotonic() + NGINX_READY_S
        while time.monotonic() < end_s:
            with suppress(OSError):
                connection = HTTPConnection("127.0.0.1", self.port, timeout=1)
                connection.request("GET", "/")
                connection.getresponse().read()
                connection.close()
                return
            time.sleep(0.02)
        self.fail_to_start()


def _nginx_config(folder: Path, module: Path, port: int) -> str:
    user = "user root;" if hasattr(os, "geteuid") and os.geteuid() == 0 else ""
    temporary = "".join(
        f"  {name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""load_module {module};
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 30000;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 20000; }}
http {{
  access_log off;
{temporary}
  keepalive_requests 1000000;
  client_body_buffer_size 64k;
  server {{
    listen 127.0.0.1:{port};
    location = / {{ return 200; }}
    location = /publish {{
      nchan_publisher http;
      nchan_channel_id all;
      nchan_message_buffer_length 1000;
      nchan_message_timeout 10s;
    }}
    location = /live/ {{
      nchan_subscriber websocket;
      nchan_channel_id all;
      nchan_subscriber_first_message newest;
    }}
  }}
}}
"""


@contextmanager
def pulseboard(form: str, data: Path) -> Iterator[Running]:
    with Pulseboard(data, "--no-jobs", variables=VARIABLES) as server:
        yield _ours(server, form)


@contextmanager
def under_daphne(form: str, data: Path) -> Iterator[Running]:
    with Server(["-m", "benchmarks.daphne_server"], data, VARIABLES) as server:
        yield _ours(server, form)


def _ours(server: Server, form: str) -> Running:
    read, publish = server.tokens()
    greeting = watching(read, expressions(PANELS), subprotocol=form)
    return Running(server, "http", greeting, publish, LINES[form])


@contextmanager
def stock_channels(data: Path) -> Iterator[Running]:
    with Server(["-m", "benchmarks.stock_channels", str(PANELS)], data) as server:
        yield Running(server, "stock", Greeting([], 1, answered_by=(b'{"type": "welcome"',)))


@contextmanager
def node_ws(corked: str, data: Path) -> Iterator[Running]:
    folder = installing.node_packages()
    program = Path(__file__).parent / "rivals" / "ws_server.mjs"
    server = Server([], data)
    server.command = ["node", str(program), str(folder), corked]
    with server:
        yield Running(server, "stock", Greeting([], 1, subprotocol=""))


@contextmanager
def nchan(data: Path) -> Iterator[Running]:
    modules = [Path(folder) / NCHAN for folder in MODULE_FOLDERS]
    module = next((path for path in modules if path.exists()), None)
    if module is None or not shutil.which("nginx"):
        raise CannotInstall("nginx or its nchan module is not installed")
    with Nginx(data, module) as server:
        yield Running(server, "nchan", Greeting([], 0, subprotocol=""))


@contextmanager
def python_socketio(data: Path) -> Iterator[Running]:
    python = installing.python_packages()
    program = Path(__file__).parent / "rivals" / "socketio_server.py"
    server = Server([], data)
    server.command = [str(python), str(program)]
    greeting = Greeting(
        ["40"],
        1,
        path="/socket.io/?EIO=4&transport=websocket",
        subprotocol="",
        opened_by=b"0{",
        answered_by=(b"40",),
        pongs={b"2": b"3"},
    )
    with server:
        yield Running(server, "stock", greeting)


OURS, OURS_JSON, DAPHNE, STOCK = "ours", "ours, JSON", "ours under daphne", "stock Channels"
WS, WS_CORKED, NCHAN_NAME, SOCKETIO = "node ws", "node ws, corked", "nchan", "python-socketio"

SYSTEMS = (
    System(OURS, partial(pulseboard, BINARY_FORM)),
    System(WS, partial(node_ws, "")),
    System(OURS_JSON, partial(pulseboard, JSON_FORM)),
    System(WS_CORKED, partial(node_ws, "corked")),
    System(NCHAN_NAME, nchan),
    System(STOCK, stock_channels),
    System(SOCKETIO, python_socketio),
    System(DAPHNE, partial(under_daphne, BINARY_FORM)),
)
