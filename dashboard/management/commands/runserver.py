"""`manage.py runserver`: daphne serves, as Channels has it for work on a site.

As an installed app daphne would bring Twisted into every process of Pulseboard, a quarter of its
start; from here it comes only when it is asked for.
"""

from daphne.management.commands.runserver import Command

__all__ = ["Command"]
