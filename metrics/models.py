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
    # Days each resolution is kept; null: the setting's default, 0: for ever.
    keep_raw_days = models.PositiveIntegerField(null=True, blank=True)
    keep_10s_days = models.PositiveIntegerField(null=True, blank=True)
    keep_1m_days = models.PositiveIntegerField(null=True, blank=True)
    keep_1h_days = models.PositiveIntegerField(null=True, blank=True)

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
        indexes = (
            models.Index(fields=("end_ms",), name="batch_end"),
            models.Index(fields=("sealed_at_ms",), name="batch_sealed"),
        )


class Chunk(models.Model):
    """The samples, or their rollup, of one series in one window of time, compressed.

    The window is (start_ms, end_ms], aligned to the length that metrics.chunks.WINDOW_MS gives for
    the resolution (0: samples). `data` is metrics.codec's or metrics.rollups'; its first byte is
    the format's version. No foreign key: series go by the million, and chunks are deleted by
    chunk, never one constraint check each.
    """

    series_id = models.BigIntegerField()
    resolution_ms = models.PositiveIntegerField()
    start_ms = models.BigIntegerField()
    end_ms = models.BigIntegerField()
    count = models.PositiveIntegerField(help_text="Samples, or buckets.")
    rolled = models.BooleanField(default=False, help_text="Samples only: the rollups hold them.")
    data = models.BinaryField()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("resolution_ms", "series_id", "start_ms"), name="chunk_once"
            ),
        )
        indexes = (
            models.Index(fields=("resolution_ms", "end_ms"), name="chunk_end"),
            models.Index(
                fields=("end_ms",),
                condition=models.Q(resolution_ms=0, rolled=False),
                name="chunk_not_rolled",
            ),
        )


class Lease(models.Model):
    """Which process does a job of which only one may run; expires when it is not renewed."""

    name = models.CharField(max_length=50, primary_key=True)
    holder = models.CharField(max_length=100)
    expires_at_ms = models.BigIntegerField()


class Generation(models.Model):
    """One row that counts deletions of series; none: there was no deletion yet.

    An append compares it with what its publisher's cache had seen, see metrics.catalog.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    number = models.BigIntegerField()


class DeletedSeries(models.Model):
    """A series that was deleted lately: its chunks are still to go, and caches to learn of it.

    `generation` is Generation's number since its deletion.
    """

    series_id = models.BigIntegerField(primary_key=True)
    generation = models.BigIntegerField(db_index=True)
    deleted_at_ms = models.BigIntegerField(db_index=True)


class Storage(models.Model):
    """What a metric's chunks take, measured now and then by metrics.sizes.

    `bytes_*` are the payloads of each resolution, `daily_*` what a day adds at the rate of the
    last day; null: not known yet.
    """

    # No constraint: a metric may be deleted while it is measured.
    metric = models.OneToOneField(Metric, models.CASCADE, primary_key=True, db_constraint=False)
    bytes_raw = models.BigIntegerField(default=0)
    bytes_10s = models.BigIntegerField(default=0)
    bytes_1m = models.BigIntegerField(default=0)
    bytes_1h = models.BigIntegerField(default=0)
    daily_raw = models.FloatField(null=True)
    daily_10s = models.FloatField(null=True)
    daily_1m = models.FloatField(null=True)
    daily_1h = models.FloatField(null=True)
    samples = models.BigIntegerField(default=0, help_text="Kept as they came.")
    samples_per_second = models.FloatField(null=True)
    chunks = models.BigIntegerField(default=0)
    oldest_raw_ms = models.BigIntegerField(null=True)
    measured_at_ms = models.BigIntegerField()

    class Meta:
        verbose_name_plural = "storage"

    def __str__(self) -> str:
        return self.metric.name


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

    `scope` says whose key it is: a token's ("source:7"), a person's ("person:7") or this project's
    own code ("local").
    """

    scope = models.CharField(max_length=30)
    key = models.CharField(max_length=200)
    body_hash = models.BinaryField(max_length=32)
    stored = models.PositiveIntegerField()
    created_at_ms = models.BigIntegerField(db_index=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("scope", "key"), name="receipt_once"),)
