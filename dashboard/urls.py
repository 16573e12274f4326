"""Every address of the site; the socket's is in dashboard/asgi.py."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from dashboard import health, views

urlpatterns = [
    path("", views.dashboards, name="dashboards"),
    path("d/<slug:slug>/", views.dashboard, name="dashboard"),
    path("metrics/", views.metrics, name="metrics"),
    path("metrics/<str:name>/", views.metric, name="metric"),
    path("live/", views.live_get, name="live"),
    path("signin/", views.signin, name="signin"),
    path("signin/<str:secret>/", views.signin_link, name="signin-link"),
    path("signout/", views.signout, name="signout"),
    path("password/", views.password, name="password"),
    path("admin/login/", views.admin_signin),
    path("admin/", admin.site.urls),
    path("api/v1/", include("metrics.api.urls")),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
]
