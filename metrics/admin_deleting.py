"""Deleting metrics and series in the admin: asked for once more, and done in slices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect

from metrics import deleting
from metrics.models import Metric, Series

LISTED = 100  # of more, the confirmation names the first
AFTERWARDS = (
    "Its chunks are deleted in the background, which frees their space. What is still published "
    "begins anew."
)

Summary = tuple[list[str], dict[str, int], set[str], list[str]]


class _Deletes(admin.ModelAdmin):  # type: ignore[type-arg]
    """What both have in common: who may, and one transaction for each slice, not for all."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request, obj)

    @method_decorator(csrf_protect)
    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Without the transaction that Django would put around it: publishers must come in."""
        response: HttpResponse = self._delete_view(request, object_id, extra_context)  # type: ignore[attr-defined]
        return response


class DeletesMetrics(_Deletes):
    def get_deleted_objects(self, objs: Iterable[Metric], request: HttpRequest) -> Summary:
        """What the confirmation says: a line for each metric, not one for each series."""
        metrics = list(objs)
        names = [metric.name for metric in metrics]
        series = Series.objects.filter(metric__name__in=names).count()
        lines = [f"{name}, with all its series and samples" for name in names[:LISTED]]
        return lines + _more(names), {"metrics": len(names), "series": series}, set(), []

    def delete_model(self, request: HttpRequest, obj: Metric) -> None:
        deleting.delete_metric(obj.name)
        messages.info(request, AFTERWARDS)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Metric]) -> None:
        for name in list(queryset.order_by().values_list("name", flat=True)):
            deleting.delete_metric(name)
        messages.info(request, AFTERWARDS)


class DeletesSeries(_Deletes):
    def get_deleted_objects(self, objs: Iterable[Series], request: HttpRequest) -> Summary:
        """What the confirmation says."""
        ids = [series.pk for series in objs]
        named = Series.objects.select_related("metric").filter(pk__in=ids[:LISTED])
        lines = [f"{series}, with all its samples" for series in named]
        return lines + _more(ids), {"series": len(ids)}, set(), []

    def delete_model(self, request: HttpRequest, obj: Series) -> None:
        deleting.delete_series([obj.pk])
        messages.info(request, AFTERWARDS)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Series]) -> None:
        deleting.delete_series(queryset.order_by().values_list("pk", flat=True))
        messages.info(request, AFTERWARDS)


def _more(all_of_them: list[Any]) -> list[str]:
    left = len(all_of_them) - LISTED
    return [f"and {left:,} more"] if left > 0 else []
