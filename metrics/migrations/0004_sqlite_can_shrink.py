from django.db import migrations

SMALL_BYTES = 200_000_000  # a second or two; a larger one waits for `manage.py vacuum`


def let_it_shrink(apps, schema_editor):
    """SQLite gives space back bit by bit if the file was written with auto_vacuum on.

    That is decided when a file is made, or written anew.
    """
    connection = schema_editor.connection
    if connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        mode, size, count = (
            cursor.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("auto_vacuum", "page_size", "page_count")
        )
        if mode == 0 and size * count <= SMALL_BYTES:
            cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
            cursor.execute("VACUUM")


class Migration(migrations.Migration):
    atomic = False  # VACUUM is its own transaction

    dependencies = [
        ("metrics", "0003_retention"),
    ]

    operations = [
        migrations.RunPython(let_it_shrink, migrations.RunPython.noop, elidable=True),
    ]
