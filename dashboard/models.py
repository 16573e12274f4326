"""Dashboards, their panels, with whom they are shared; links that sign in; who is there."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models


class Dashboard(models.Model):
    """A page of panels."""

    slug = models.SlugField(unique=True, max_length=80)
    title = models.CharField(max_length=120)
    description = models.CharField(max_length=300, blank=True)
    position = models.PositiveSmallIntegerField(default=100)

    class Meta:
        ordering = ("position", "title")

    def __str__(self) -> str:
        return self.title


class Panel(models.Model):
    """One live query and how it is drawn."""

    class Kind(models.TextChoices):
        LINE = "line"
        AREA = "area"
        STAT = "stat"
        GAUGE = "gauge"
        BAR = "bar"
        TABLE = "table"
        EVENTS = "events", "event list"

    class Unit(models.TextChoices):
        NUMBER = "", "plain number"
        BYTES = "bytes"
        BYTES_PER_SECOND = "bytes_per_second", "bytes per second"
        BITS_PER_SECOND = "bits_per_second", "bits per second"
        SECONDS = "seconds"
        MILLISECONDS = "milliseconds"
        PERCENT = "percent", "percent (0 to 100)"
        RATIO = "ratio", "ratio (0 to 1, shown as %)"
        PER_SECOND = "per_second", "per second"
        COUNT = "count"
        CELSIUS = "celsius", "degrees Celsius"
        HERTZ = "hertz"

    dashboard = models.ForeignKey(Dashboard, models.CASCADE, related_name="panels")
    position = models.PositiveSmallIntegerField(default=0)
    title = models.CharField(max_length=120)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.LINE)
    expr = models.CharField("expression", max_length=4000, blank=True, help_text="PromQL.")
    legend = models.CharField(
        max_length=200, blank=True, help_text="Such as {{cpu}} {{mode}}; empty: what differs."
    )
    unit = models.CharField(max_length=20, choices=Unit, default=Unit.NUMBER, blank=True)
    width = models.PositiveSmallIntegerField(
        default=6,
        validators=[MinValueValidator(1), MaxValueValidator(12)],
        help_text="Columns of 12.",
    )
    height = models.PositiveSmallIntegerField(
        default=3, validators=[MinValueValidator(1), MaxValueValidator(12)], help_text="Rows."
    )
    min = models.FloatField(null=True, blank=True)
    max = models.FloatField(null=True, blank=True)
    decimals = models.PositiveSmallIntegerField(null=True, blank=True)
    stacked = models.BooleanField(default=False)

    class Meta:
        ordering = ("position", "id")

    def __str__(self) -> str:
        return self.title


class Share(models.Model):
    """Shows a dashboard to one person, or to everybody in a group (dashboard.sharing)."""

    dashboard = models.ForeignKey(Dashboard, models.CASCADE, related_name="shares")
    group = models.ForeignKey(Group, models.CASCADE, null=True, blank=True, related_name="+")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="person",
    )

    class Meta:
        ordering = ("id",)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(group=None, user__isnull=False)
                | models.Q(user=None, group__isnull=False),
                name="share_with_one",
                violation_error_message="Expected a group or a person, one of the two.",
            ),
            models.UniqueConstraint(fields=("dashboard", "group"), name="share_group_once"),
            models.UniqueConstraint(fields=("dashboard", "user"), name="share_user_once"),
        )

    def __str__(self) -> str:
        return f"{self.group} (group)" if self.group else str(self.user)


class SigninLink(models.Model):
    """A link that signs one person in once. Only a hash of its secret is kept."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    secret_hash = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)


class Present(models.Model):
    """Who is on which dashboard by what one serving process knows (dashboard.presence_rows).

    There only while somebody is, and rewritten every few seconds: an old one does not count.
    """

    process = models.CharField(max_length=100, primary_key=True)
    version = models.BigIntegerField(help_text="Changes with the people.")
    seen_at = models.DateTimeField(help_text="By the database's clock.")
    people = models.TextField()

    class Meta:
        verbose_name_plural = "present"
