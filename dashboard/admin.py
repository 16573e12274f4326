"""The admin's pages for dashboards and their panels."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dashboard.models import Dashboard, Panel, Share
from metrics import query

admin.site.site_header = "Pulseboard admin"
admin.site.site_title = "Pulseboard admin"
admin.site.index_title = "What can be looked after"

EVERYBODY = (
    "Everybody with an account sees every dashboard. To choose who does, share dashboards below, "
    "and start the server with READ_ALL=0."
)
SHARED = (
    "Whom it is shared with below, and everybody with the permission “Can view metric” (superusers "
    "have it). Who may change dashboards decides what is on them."
)


class PanelForm(forms.ModelForm):  # type: ignore[type-arg]
    """A panel; its expression must be one that can be evaluated."""

    class Meta:
        model = Panel
        fields = (
            "position", "title", "kind", "expr", "legend", "unit", "width", "height", "min", "max",
            "decimals", "stacked",
        )  # fmt: skip
        widgets = {
            "expr": forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        }

    def clean_expr(self) -> str:
        """The expression in its canonical spelling. Raises ValidationError with the reason."""
        text: str = self.cleaned_data["expr"].strip()
        if not text:
            return text
        try:
            return query.parse(text).text
        except query.ExpressionError as error:
            raise forms.ValidationError(str(error)) from None

    def clean(self) -> dict[str, Any]:
        """What only several fields together tell."""
        cleaned = super().clean() or self.cleaned_data
        is_list = cleaned.get("kind") == Panel.Kind.EVENTS
        if not is_list and not cleaned.get("expr") and "expr" not in self.errors:
            self.add_error("expr", "Expected an expression: only an event list has none.")
        lowest, highest = cleaned.get("min"), cleaned.get("max")
        if lowest is not None and highest is not None and lowest >= highest:
            self.add_error("max", "Expected more than the minimum.")
        return cleaned


class PanelInline(admin.StackedInline):  # type: ignore[type-arg]
    """The panels of a dashboard, in the order they are drawn."""

    model = Panel
    form = PanelForm
    extra = 0
    fieldsets = (
        (None, {"fields": (("position", "title", "kind"), "expr", ("legend", "unit"))}),
        (
            "Looks",
            {
                "classes": ("collapse",),
                "fields": (
                    ("width", "height"), ("min", "max"), ("decimals", "stacked"),
                ),
            },
        ),
    )  # fmt: skip


class ShareForm(forms.ModelForm):  # type: ignore[type-arg]
    """A share that is not there yet: constraints over the dashboard are not checked in a form."""

    class Meta:
        model = Share
        fields = ("group", "user")

    def clean(self) -> dict[str, Any]:
        """Refuses what another form has shared since this one was opened."""
        cleaned = super().clean() or self.cleaned_data
        same = {name: cleaned.get(name) for name in ("dashboard", "group", "user")}
        others = Share.objects.exclude(pk=self.instance.pk)
        if same["dashboard"] and same["dashboard"].pk and others.filter(**same).exists():
            raise forms.ValidationError("It is shared with them already: load the page again.")
        return cleaned


class ShareInline(admin.TabularInline):  # type: ignore[type-arg]
    """The groups and people a dashboard is shared with."""

    model = Share
    form = ShareForm
    extra = 0
    verbose_name = "group or person"
    verbose_name_plural = "Shared with"
    autocomplete_fields = ("group", "user")


@admin.register(Dashboard)
class DashboardAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Dashboards with their panels."""

    list_display = ("title", "slug", "panel_count", "shared_with", "position", "open_link")
    list_editable = ("position",)
    fields = ("title", "slug", "description", "position", "seen_by")
    readonly_fields = ("seen_by",)
    search_fields = ("title", "description", "panels__title", "panels__expr")
    prepopulated_fields = {"slug": ("title",)}
    inlines = (ShareInline, PanelInline)

    def get_queryset(self, request: Any) -> Any:
        found = super().get_queryset(request)
        return found.prefetch_related("panels", "shares__group", "shares__user")

    @admin.display(description="panels")
    def panel_count(self, dashboard: Dashboard) -> int:
        return len(dashboard.panels.all())

    @admin.display(description="shared with")
    def shared_with(self, dashboard: Dashboard) -> str:
        return "everybody" if settings.READ_ALL else _names(dashboard) or "-"

    @admin.display(description="seen by")
    def seen_by(self, dashboard: Dashboard) -> str:
        """The rule, where it is asked for."""
        return EVERYBODY if settings.READ_ALL else SHARED

    @admin.display(description="")
    def open_link(self, dashboard: Dashboard) -> SafeString:
        return format_html('<a href="/d/{}/">Open</a>', dashboard.slug)

    def view_on_site(self, obj: Dashboard) -> str:
        """Where the dashboard is shown."""
        return f"/d/{obj.slug}/"


def _names(dashboard: Dashboard) -> str:
    return ", ".join(str(share) for share in dashboard.shares.all())
