"""The one way in which a command of this package says no."""

from __future__ import annotations


class CannotMove(Exception):
    """It was not done; str() is a sentence for the person who asked."""
