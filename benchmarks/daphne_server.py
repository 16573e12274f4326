"""Pulseboard under daphne, as `manage.py runserver` has it, but with DEBUG off and the link said.

python -m benchmarks.daphne_server
"""

from __future__ import annotations


def main() -> None:
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from daphne.server import Server

    from dashboard import listener as listeners
    from dashboard.asgi import application

    with listeners.listen("127.0.0.1", 0) as listener:
        # Who connects before daphne takes over waits in the listener's queue.
        print(f"{listeners.url_of(listener)}/", flush=True)
        Server(application, endpoints=[f"fd:fileno={listener.fileno()}"], verbosity=0).run()


if __name__ == "__main__":
    main()
