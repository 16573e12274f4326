"""The admin's view of storage: what takes how much, how long it is kept, where that leads."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db import connection
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from metrics import keep, log, sizes, vacuum
from metrics.chunks import RESOLUTIONS_MS
from metrics.forecast import Forecast, Rates, forecast
from metrics.models import Metric, Storage

MEGABYTE = 1_000_000
NO_BREAK = "\N{NO-BREAK SPACE}"
NAMES = dict(
    zip(RESOLUTIONS_MS, ("samples", "every 10 s", "every minute", "every hour"), strict=True)
)
BYTES = {resolution_ms: f"bytes_{name}" for resolution_ms, name in keep.SHORT_NAMES.items()}
DAILY = {resolution_ms: f"daily_{name}" for resolution_ms, name in keep.SHORT_NAMES.items()}


def words(size: float) -> str:
    """A number of bytes to read: 12.3 MB (a MB is a million bytes, as in DISK_BUDGET_MB)."""
    for factor, unit in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= factor:
            return f"{size / factor:,.1f}{NO_BREAK}{unit}"
    return f"{size:,.0f}{NO_BREAK}bytes"


def kept_words(days: int) -> str:
    return f"{days:,} days" if days else "for ever"


def total(prefix: str = "") -> Any:
    """All resolutions together, as a database expression."""
    first, *others = (F(prefix + name) for name in BYTES.values())
    expression: Any = first
    for one in others:
        expression = expression + one
    return expression


class MetricForm(forms.ModelForm):  # type: ignore[type-arg]
    """A metric; its days kept in words."""

    class Meta:
        model = Metric
        fields = ("unit", "help", *keep.FIELDS.values())
        labels = {
            field: NAMES[resolution_ms].capitalize() for resolution_ms, field in keep.FIELDS.items()
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for resolution_ms, name in keep.FIELDS.items():
            if name in self.fields:  # who may only look has none
                self.fields[name].widget.attrs["placeholder"] = keep.default_days(resolution_ms)

    def clean_keep_raw_days(self) -> int | None:
        """Raises ValidationError for less than late samples need."""
        days: int | None = self.cleaned_data["keep_raw_days"]
        if days and days < settings.LATE_DAYS:
            raise forms.ValidationError(
                f"Expected at least {settings.LATE_DAYS} days (setting LATE_DAYS), within which "
                "late samples are put right; or 0 for ever."
            )
        return days


def table(metric: Metric) -> SafeString:
    """What a metric takes, by resolution."""
    stored = Storage.objects.filter(metric_id=metric.pk).first()
    if stored is None:
        return format_html("{}", "Not measured yet: the background jobs do it every ten minutes.")
    found = _forecast([(stored, metric)], None)
    return render_to_string(
        "admin/metrics/metric/stored_table.html",
        {
            "rows": _rows({name: getattr(stored, name) for name in BYTES.values()}, stored, metric),
            "stored": stored,
            "after_a_year": None if found is None else words(found.after_a_year),
            "oldest": None if stored.oldest_raw_ms is None else _day(stored.oldest_raw_ms),
            "measured_at": _moment(stored.measured_at_ms),
        },
    )


def _rows(
    taken: dict[str, int], stored: Storage | None, metric: Metric | None
) -> list[dict[str, str]]:
    rows = []
    for resolution_ms, name in NAMES.items():
        own = getattr(metric, keep.FIELDS[resolution_ms]) if metric is not None else None
        daily = getattr(stored, DAILY[resolution_ms]) if stored is not None else None
        rows.append(
            {
                "name": name,
                "bytes": words(taken[BYTES[resolution_ms]]),
                "daily": "-" if daily is None else words(daily),
                "kept": kept_words(keep.days(resolution_ms, own)),
            }
        )
    return rows


def _forecast(rows: list[tuple[Storage, Metric]], room: float | None) -> Forecast | None:
    known = [
        (_rates(stored), _days(metric)) for stored, metric in rows if stored.daily_raw is not None
    ]
    return forecast(known, room) if known else None


def _rates(stored: Storage) -> Rates:
    return {resolution_ms: getattr(stored, field) or 0.0 for resolution_ms, field in DAILY.items()}


def _days(metric: Metric) -> dict[int, int]:
    return {
        resolution_ms: keep.days(resolution_ms, getattr(metric, field))
        for resolution_ms, field in keep.FIELDS.items()
    }


def _moment(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _day(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d}"


@admin.register(Storage)
class StorageAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """An overview, and a row for each metric; nothing to be changed here."""

    change_list_template = "admin/metrics/storage/change_list.html"
    list_display = (
        "metric_link", "taken", "raw", "ten_seconds", "minute", "hour", "rate", "daily",
    )  # fmt: skip
    list_display_links = None
    list_select_related = ("metric",)
    search_fields = ("metric__name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Storage]:
        rows: QuerySet[Storage] = self.model._default_manager.annotate(
            stored_total=total(),
            daily_total=F("daily_raw") + F("daily_10s") + F("daily_1m") + F("daily_1h"),
        )
        return rows

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return ("-stored_total",)  # a name that the class's own `ordering` may not use

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, below an overview of everything."""
        return super().changelist_view(
            request, {"title": "Storage", "overview": overview(), **(extra_context or {})}
        )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="metric", ordering="metric__name")
    def metric_link(self, row: Storage) -> SafeString:
        url = reverse("admin:metrics_metric_change", args=(row.metric_id,))
        return format_html('<a href="{}">{}</a>', url, row.metric.name)

    @admin.display(description="all", ordering="stored_total")
    def taken(self, row: Storage) -> str:
        return words(sum(getattr(row, name) for name in BYTES.values()))

    @admin.display(description=NAMES[0], ordering="bytes_raw")
    def raw(self, row: Storage) -> str:
        return words(row.bytes_raw)

    @admin.display(description=NAMES[10_000], ordering="bytes_10s")
    def ten_seconds(self, row: Storage) -> str:
        return words(row.bytes_10s)

    @admin.display(description=NAMES[60_000], ordering="bytes_1m")
    def minute(self, row: Storage) -> str:
        return words(row.bytes_1m)

    @admin.display(description=NAMES[3_600_000], ordering="bytes_1h")
    def hour(self, row: Storage) -> str:
        return words(row.bytes_1h)

    @admin.display(description="samples/s", ordering="samples_per_second", empty_value="-")
    def rate(self, row: Storage) -> str | None:
        found = row.samples_per_second
        return None if found is None else f"{found:,.3g}"

    @admin.display(description="a day adds", ordering="daily_total", empty_value="-")
    def daily(self, row: Storage) -> str | None:
        found = [getattr(row, name) for name in DAILY.values()]
        return None if found[0] is None else words(sum(one or 0.0 for one in found))


def overview() -> dict[str, Any]:
    """What the page about storage says at its top."""
    stored = list(Storage.objects.select_related("metric"))
    taken = {name: sum(getattr(one, name) for one in stored) for name in BYTES.values()}
    size, free = sizes.database_file_bytes()
    batches, log_bytes = log.size()
    chunks = sum(taken.values())
    budget = settings.DISK_BUDGET_MB * MEGABYTE
    room = max(0, budget - (size - free - chunks)) if budget else None
    rows = [(one, one.metric) for one in stored]
    found = _forecast(rows, room)
    return {
        "database": words(size),
        "free": words(free) if free else "",
        "log": words(log_bytes),
        "log_batches": batches,
        "rows": _rows(taken, None, None),
        "chunks": words(chunks),
        "budget": words(budget) if budget else "",
        "budget_percent": 100 * (size - free) / budget if budget else None,
        "daily": "" if found is None else words(found.daily),
        "after_a_year": "" if found is None else words(found.after_a_year),
        "days_of_samples": None if found is None else found.days_of_samples,
        "measured_at": _moment(max(one.measured_at_ms for one in stored)) if stored else "",
        "must_vacuum": connection.vendor == "sqlite" and not vacuum.can_shrink(),
    }
