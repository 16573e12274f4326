"""`manage.py serve` that writes down what it asks its database: `-m benchmarks.counted_serve FILE`.

A line for each query: the statement with its parameters as they were given.
"""

from __future__ import annotations

import os
import sys
from typing import Any


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
    path, sys.argv = sys.argv[1], ["manage.py", "serve", *sys.argv[2:]]
    from django.core.management import execute_from_command_line
    from django.db.backends.signals import connection_created

    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("SELECT"):
            os.write(file, f"{sql} {params}".replace("\n", " ").encode() + b"\n")
        return execute(sql, params, many, context)

    def follow(connection: Any, **_: object) -> None:
        if note not in connection.execute_wrappers:
            connection.execute_wrappers.append(note)

    connection_created.connect(follow)
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
