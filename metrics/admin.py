"""The admin's pages for metrics, series, tokens and events.

The log, running totals and receipts are the program's own: they are not shown here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, QuerySet, TextField
from django.db.models.functions import Cast
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from metrics import access, admin_storage, reader
from metrics.admin_deleting import DeletesMetrics, DeletesSeries
from metrics.keep import FIELDS
from metrics.models import Event, Metric, Series, Source

FILTER_METRICS = 100
KEPT = tuple(FIELDS.values())


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that publishers make: to be looked at."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Metric)
class MetricAdmin(DeletesMetrics, admin.ModelAdmin):  # type: ignore[type-arg]
    """Metrics; what they mean and how long they are kept can be written, the rest is published."""

    form = admin_storage.MetricForm
    list_display = ("name", "kind", "unit", "series_count", "stored", "help", "created_at")
    list_filter = ("kind",)
    search_fields = ("name", "help")
    fieldsets = (
        (None, {"fields": ("name", "kind", "unit", "help", "created_at")}),
        (
            "Days kept",
            {
                "description": "Empty: as the settings say (in grey). 0: for ever.",
                "fields": (KEPT[:2], KEPT[2:], "stored_table"),
            },
        ),
    )
    readonly_fields = ("name", "kind", "created_at", "stored_table")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Metric]:
        rows: QuerySet[Metric] = super().get_queryset(request)
        return rows.select_related("storage").annotate(
            series_total=Count("series"), stored_total=admin_storage.total("storage__")
        )

    @admin.display(description="stored", ordering="stored_total", empty_value="-")
    def stored(self, metric: Metric) -> str | None:
        total: int | None = getattr(metric, "stored_total", None)
        return None if total is None else admin_storage.words(total)

    @admin.display(description="stored")
    def stored_table(self, metric: Metric) -> SafeString:
        return admin_storage.table(metric)

    @admin.display(description="series", ordering="series_total")
    def series_count(self, metric: Metric) -> SafeString:
        return format_html(
            '<a href="{}?metric__id__exact={}">{}</a>',
            reverse("admin:metrics_series_changelist"),
            metric.pk,
            getattr(metric, "series_total", 0),
        )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


class SeriesList(ChangeList):
    """A page of series with the newest value of each, read together."""

    newest: Mapping[int, tuple[int, float]] = {}

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.newest = reader.last([series.pk for series in self.result_list])
        for series in self.result_list:
            series.newest = self.newest.get(series.pk)


@admin.register(Series)
class SeriesAdmin(DeletesSeries, ReadOnly):
    """Series with their labels and newest value."""

    list_display = ("metric", "labels_text", "last_value", "last_time", "created_at")
    list_display_links = ("labels_text",)
    list_select_related = ("metric",)
    search_fields = ("metric__name", "labels_as_text")
    search_help_text = "Part of a metric's name, of a label's name or of its value."
    fields = ("metric", "labels_text", "last_value", "last_time", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Series]:
        rows: QuerySet[Series] = super().get_queryset(request)
        return rows.annotate(labels_as_text=Cast("labels", TextField()))

    def get_list_filter(self, request: HttpRequest) -> Any:
        """By metric, while there are few enough to choose from a list."""
        few = Metric.objects.count() <= FILTER_METRICS
        return (("metric", admin.RelatedOnlyFieldListFilter),) if few else ()

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """The list of metrics links here, however many there are."""
        return lookup == "metric__id__exact" or super().lookup_allowed(lookup, value, request)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return SeriesList

    @admin.display(description="labels", empty_value="(none)")
    def labels_text(self, series: Series) -> str:
        return ", ".join(f'{name}="{value}"' for name, value in sorted(series.labels.items()))

    @admin.display(description="last value")
    def last_value(self, series: Series) -> str | None:
        newest = self._newest(series)
        return None if newest is None else f"{newest[1]:.12g}"

    @admin.display(description="measured at (UTC)")
    def last_time(self, series: Series) -> str | None:
        newest = self._newest(series)
        if newest is None:
            return None
        return f"{datetime.fromtimestamp(newest[0] / 1000, UTC):%Y-%m-%d %H:%M:%S}"

    def _newest(self, series: Series) -> tuple[int, float] | None:
        if not hasattr(series, "newest"):
            series.newest = reader.last([series.pk]).get(series.pk)  # type: ignore[attr-defined]
        found: tuple[int, float] | None = series.newest  # type: ignore[attr-defined]
        return found


@admin.register(Source)
class SourceAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Tokens of publishers and readers."""

    list_display = (
        "name", "scope_word", "active", "shown_prefix", "created_at", "expires_at", "last_used_at",
        "created_by",
    )  # fmt: skip
    list_filter = ("scope", "active")
    search_fields = ("name", "prefix")
    readonly_fields = ("shown_prefix", "created_at", "last_used_at", "created_by")
    actions = ("revoke",)

    def get_fields(self, request: HttpRequest, obj: Source | None = None) -> tuple[str, ...]:
        asked = ("name", "scope", "expires_at")
        return asked if obj is None else (*asked, "active", *self.readonly_fields)

    def get_readonly_fields(
        self, request: HttpRequest, obj: Source | None = None
    ) -> tuple[str, ...]:
        """A token's scope stays: whoever holds it must not be given more without a new one."""
        return self.readonly_fields if obj is None else ("scope", *self.readonly_fields)

    @admin.display(description="scope", ordering="scope")
    def scope_word(self, source: Source) -> str:
        return source.scope

    @admin.display(description="token begins with")
    def shown_prefix(self, source: Source) -> str:
        return f"{source.prefix}..."

    def save_model(self, request: HttpRequest, obj: Source, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        plain = access.set_token(obj)
        obj.created_by = request.user  # type: ignore[assignment]
        super().save_model(request, obj, form, change)
        messages.warning(request, f"The token of {obj.name}, shown only now; copy it: {plain}")

    @admin.action(description="Revoke the selected tokens", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Source]) -> None:
        count = queryset.update(active=False)
        access.forget()
        messages.success(request, f"Revoked: {count}. They are refused from now on.")


@admin.register(Event)
class EventAdmin(ReadOnly):
    """What happened."""

    list_display = ("title", "when", "source", "labels")
    list_filter = (("source", admin.RelatedOnlyFieldListFilter),)
    list_select_related = ("source",)
    search_fields = ("title", "text")
    fields = ("title", "text", "when", "labels", "source")

    @admin.display(description="time (UTC)", ordering="time_ms")
    def when(self, event: Event) -> str:
        return f"{datetime.fromtimestamp(event.time_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"
