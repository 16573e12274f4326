"""The dashboards a new installation begins with; from then on they are the admin's."""

import json
from pathlib import Path

from django.db import migrations

FOLDER = Path(__file__).resolve().parent.parent / "builtin"


def install(apps, schema_editor):
    # The database that is migrated, which is not always the site's own (manage.py move).
    alias = schema_editor.connection.alias
    dashboards = apps.get_model("dashboard", "Dashboard").objects.using(alias)
    Panel = apps.get_model("dashboard", "Panel")
    for path in sorted(FOLDER.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        panels = content.pop("panels")
        dashboard, made = dashboards.get_or_create(slug=content["slug"], defaults=content)
        if made:
            Panel.objects.using(alias).bulk_create(
                Panel(dashboard=dashboard, position=position, **panel)
                for position, panel in enumerate(panels)
            )


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0001_initial")]

    operations = [migrations.RunPython(install, migrations.RunPython.noop)]
