"""Tells systemd how the server is, for units of Type=notify; elsewhere it says nothing."""

from __future__ import annotations

import logging
import socket

from django.conf import settings

logger = logging.getLogger(__name__)


def notify(state: str) -> None:
    """Sends a line such as READY=1 (see sd_notify(3)) to the socket that systemd named."""
    address: str = settings.NOTIFY_SOCKET
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.connect(address)
            to.sendall(state.encode())
    except OSError as error:
        logger.warning("systemd could not be told %r (%s)", state, error.strerror)
