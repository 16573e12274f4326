"""What is stored. Models hold rows; the modules beside this one hold the verbs."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Metric(models.Model):
    """A name under which series are measured."""

    class Kind(models.TextChoices):
        GAUGE = "gauge"
        COUNTER = "counter"
        HISTOGRAM = "histogram"

    name = models.CharField(max_length=200, unique=True)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.GAUGE)
    unit = models.CharField(max_length=20, blank=True)
    help = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Series(models.Model):
    """One line of a metric: the metric's name and one set of labels."""

    metric = models.ForeignKey(Metric, models.CASCADE, related_name="series")
    labels = models.JSONField(default=dict, help_text="Without the metric's name.")
    # BLAKE2b of name and sorted labels: one index entry of fixed size, whatever the labels' size.
    fingerprint = models.CharField(max_length=32, unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "series"
        ordering = ("id",)

    def __str__(self) -> str:
        inside = ", ".join(f'{name}="{value}"' for name, value in sorted(self.labels.items()))
        return f"{self.metric.name}{{{inside}}}" if inside else self.metric.name


class Batch(models.Model):
    """One row of the log: every sample and event of one commit, in columnar form.

    `data` is metrics.columns.Columns.pack(); `events` a JSON list of stored events.
    """

    received_at_ms = models.BigIntegerField()
    start_ms = models.BigIntegerField(help_text="Oldest sample.")
    end_ms = models.BigIntegerField(help_text="Newest sample.")
    sealed_at_ms = models.BigIntegerField(null=True)
    count = models.PositiveIntegerField()
    data = models.BinaryField()
    events = models.BinaryField(null=True)

    class Meta:
        verbose_name_plural = "batches"
        indexes = (models.Index(fields=("end_ms",), name="batch_end"),)


class Total(models.Model):
    """The running total of a counter that is fed by increments.

    Its row is locked while a reading is appended; `time_ms` only grows.
    """

    series = models.OneToOneField(Series, models.CASCADE, primary_key=True)
    value = models.FloatField()
    time_ms = models.BigIntegerField()


class Deferred(models.Model):
    """Increments of somebody's transaction, added up right after it has committed.

    Adding them up inside would lock their totals until that transaction ends.
    """

    created_at_ms = models.BigIntegerField()
    increments = models.BinaryField(help_text="metrics.deferred packs it.")

    class Meta:
        verbose_name_plural = "deferred"


class Source(models.Model):
    """Who may publish or read by token. Only a hash of the token is kept."""

    class Scope(models.TextChoices):
        PUBLISH = "publish", "publish samples and events"
        READ = "read", "watch live"

    name = models.CharField(max_length=100, unique=True)
    scope = models.CharField(max_length=10, choices=Scope, default=Scope.PUBLISH)
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    prefix = models.CharField(max_length=12, editable=False, help_text="The token's beginning.")
    active = models.BooleanField(default=True, help_text="Off: the token is refused.")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, editable=False
    )

    class Meta:
        ordering = ("name",)
        verbose_name = "token"

    def __str__(self) -> str:
        return self.name


class Event(models.Model):
    """Something that happened, shown in event lists."""

    time_ms = models.BigIntegerField(db_index=True)
    title = models.CharField(max_length=200)
    text = models.TextField(blank=True)
    labels = models.JSONField(default=dict, blank=True)
    source = models.ForeignKey(Source, models.SET_NULL, null=True, blank=True)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return self.title


class Receipt(models.Model):
    """An Idempotency-Key that was answered: the same request again counts once.

    `scope` says whose key it is: a token's ("source:7") or this project's own code ("local").
    """

    scope = models.CharField(max_length=30)
    key = models.CharField(max_length=200)
    body_hash = models.BinaryField(max_length=32)
    stored = models.PositiveIntegerField()
    created_at_ms = models.BigIntegerField(db_index=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("scope", "key"), name="receipt_once"),)
