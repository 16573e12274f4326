"""The ASGI application: HTTP by Django, sockets by Channels, static files beside them."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")

import django
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path, re_path

django.setup(set_prefix=False)  # first: the imports below need the apps to be loaded

from django.conf import settings  # noqa: E402

from dashboard.body_limit import BodyLimit  # noqa: E402
from dashboard.consumers import LiveConsumer, NowhereConsumer  # noqa: E402
from dashboard.fallback import Fallback  # noqa: E402
from dashboard.handler import Handler  # noqa: E402
from dashboard.origin import OriginCheck  # noqa: E402
from dashboard.static_files import StaticFiles  # noqa: E402

http: Any = Handler()
application = ProtocolTypeRouter(
    {
        "http": StaticFiles(Fallback(BodyLimit(http, settings.BODY_BYTES))),
        "websocket": OriginCheck(
            URLRouter(
                [
                    path("live/", LiveConsumer.as_asgi()),
                    re_path("", NowhereConsumer.as_asgi()),
                ]
            )
        ),
    }
)
