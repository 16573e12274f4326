"""The dashboard "Pulseboard itself" adds up what several processes publish.

New installations have it from 0002; here an older one gets it, where its panels are as they came.
"""

from django.db import migrations

EXPRESSIONS = {
    "pulseboard_connections": "sum(pulseboard_connections)",
    "pulseboard_watches": "sum(pulseboard_watches)",
    "rate(pulseboard_frames_sent_total[5s])": "sum(rate(pulseboard_frames_sent_total[5s]))",
    "rate(pulseboard_samples_total[5s])": "sum(rate(pulseboard_samples_total[5s]))",
    "rate(pulseboard_batches_total[5s])": "sum(rate(pulseboard_batches_total[5s]))",
    "rate(pulseboard_bytes_sent_total[5s])": "sum(rate(pulseboard_bytes_sent_total[5s]))",
    'pulseboard_commit_seconds{quantile="0.5"}': 'max(pulseboard_commit_seconds{quantile="0.5"})',
    'pulseboard_publish_to_frame_seconds{quantile="0.5"}': 'max(pulseboard_publish_to_frame_seconds{quantile="0.5"})',
    "pulseboard_publish_to_frame_seconds": "max by (quantile) (pulseboard_publish_to_frame_seconds)",
    "pulseboard_commit_seconds": "max by (quantile) (pulseboard_commit_seconds)",
    "increase(pulseboard_dropped_samples_total[5m])": "sum(increase(pulseboard_dropped_samples_total[5m]))",
    '{__name__=~"pulseboard_(connections|watches|live_queries)"}': 'sum by (__name__) ({__name__=~"pulseboard_(connections|watches|live_queries)"})',
    "pulseboard_head_samples": "max(pulseboard_head_samples)",
    "pulseboard_head_series": "max(pulseboard_head_series)",
    "pulseboard_log_bytes": "max(pulseboard_log_bytes)",
    "process_resident_memory_bytes": "sum(process_resident_memory_bytes)",
    "rate(process_cpu_seconds_total[5s])": "sum(rate(process_cpu_seconds_total[5s]))",
    "process_open_fds": "sum(process_open_fds)",
}


def add_up(apps, schema_editor):
    panels = apps.get_model("dashboard", "Panel").objects.using(schema_editor.connection.alias)
    for before, after in EXPRESSIONS.items():
        panels.filter(dashboard__slug="pulseboard-itself", expr=before).update(expr=after)


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0002_builtin_dashboards")]

    operations = [migrations.RunPython(add_up, migrations.RunPython.noop)]
