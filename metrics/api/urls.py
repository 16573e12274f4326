"""Addresses below /api/v1/."""

from __future__ import annotations

from django.urls import path, re_path

from metrics.api import export, views

urlpatterns = [
    path("samples", views.samples, name="api-samples"),
    path("events", views.events, name="api-events"),
    path("export", export.export, name="api-export"),
    re_path(r"^(?P<path>.*)$", views.nothing_here),
]
