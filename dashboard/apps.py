from django.apps import AppConfig


class DashboardConfig(AppConfig):
    name = "dashboard"
    verbose_name = "Dashboards"

    def ready(self) -> None:
        from dashboard import rights  # noqa: F401 - connects its signals
