"""What is stored, for people with notebooks: numpy arrays, or pandas data frames.

    from metrics import notebook

    lines = notebook.read('cpu_percent{host="a"}', "-6h")
    lines = notebook.read("rate(requests_total[5m])", "2026-01-01", "2026-02-01", step="1h")
    table = notebook.frame(Series.objects.filter(metric__name="orders"), "-1d", step="1m")

docs/notebooks.md shows how to get here from a notebook.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from metrics import catalog, reader
from metrics.clock import now_ms
from metrics.columns import Floats
from metrics.models import Series
from metrics.query import Expression, Selector, evaluate, parse
from metrics.query.spelling import quote
from metrics.reading import samples
from metrics.reading.budget import Budget

Moment = datetime | np.datetime64 | int | str
Duration = timedelta | int | str
What = str | Series | Iterable[Series]

_UNITS_MS = {
    "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000,
    "y": 31_536_000_000,
}  # fmt: skip
_DURATION = re.compile(r"(?:\d+(?:ms|[smhdwy]))+")
_PART = re.compile(r"(\d+)(ms|[smhdwy])")


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One series: ``times`` are datetime64[ms] in UTC, ``labels`` those that it has."""

    labels: dict[str, str]
    times: NDArray[np.datetime64]
    values: Floats

    @property
    def name(self) -> str:
        """As people write it: ``cpu_percent{host="a"}``."""
        inside = ",".join(
            f"{label}={quote(value)}"
            for label, value in sorted(self.labels.items())
            if label != "__name__"
        )
        name = self.labels.get("__name__", "")
        return f"{name}{{{inside}}}" if inside or not name else name


def read(
    what: What, start: Moment, end: Moment | None = None, step: Duration | None = None
) -> dict[str, Line]:
    """What series held after `start`, up to and including `end` (None: now), by their names.

    `what` is a PromQL expression, a Series, or several such as Series.objects.filter(...).
    Without `step`: the samples as they were published, as far back as they are kept; of an
    expression only selectors then, without functions. With it: the values at multiples of the
    step, NaN where there is none, read from rollups where these give the same.

    Moments are datetimes (without a zone: UTC), ms since 1970, ISO texts, "-6h" and "now".
    Steps are timedeltas, ms, or "30s". Raises ExpressionError or ValueError with a sentence.
    """
    now = now_ms()
    start_ms, end_ms = moment_ms(start, now), now if end is None else moment_ms(end, now)
    if start_ms >= end_ms:
        raise ValueError(f"the start ({start}) is not before the end ({end or 'now'})")
    if step is None:
        lines = list(_samples(what, start_ms, end_ms))
    else:
        lines = list(_steps(what, start_ms, end_ms, duration_ms(step)))
    return {line.name: line for line in sorted(lines, key=lambda one: one.name)}


def frame(
    what: What, start: Moment, end: Moment | None = None, step: Duration | None = None
) -> Any:
    """read() as a pandas DataFrame: times (UTC) down, a column for each series.

    Raises ImportError where pandas is not installed.
    """
    pandas = importlib.import_module("pandas")
    columns = {
        name: pandas.Series(line.values, pandas.DatetimeIndex(line.times, tz="UTC"))
        for name, line in read(what, start, end, step).items()
    }
    return pandas.DataFrame(columns).rename_axis("time")


def moment_ms(moment: Moment, now: int) -> int:
    """ms since 1970. Raises ValueError with a sentence for what is no moment."""
    if isinstance(moment, datetime):
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1000)
    if isinstance(moment, np.datetime64):
        return int(moment.astype("datetime64[ms]").astype(np.int64))
    if isinstance(moment, int | np.integer):
        return int(moment)
    if moment == "now":
        return now
    if moment.startswith("-") and _DURATION.fullmatch(moment[1:]):
        return now - duration_ms(moment[1:])
    try:
        return moment_ms(datetime.fromisoformat(moment), now)
    except ValueError:
        raise ValueError(
            f"{moment!r} is no moment: expected a datetime, ms since 1970, an ISO time such as "
            "2026-01-31T12:00, now, or so long ago as in -6h"
        ) from None


def duration_ms(duration: Duration) -> int:
    """A length of time above 0 in ms. Raises ValueError with a sentence for anything else."""
    found = 0
    if isinstance(duration, timedelta):
        found = round(duration.total_seconds() * 1000)
    elif isinstance(duration, int | np.integer):
        found = int(duration)
    elif _DURATION.fullmatch(duration):
        found = sum(int(count) * _UNITS_MS[unit] for count, unit in _PART.findall(duration))
    if found <= 0:
        raise ValueError(
            f"{duration!r} is no length of time: expected a timedelta, ms, or such as 30s or 1h30m"
        )
    return found


def _samples(what: What, start_ms: int, end_ms: int) -> Iterator[Line]:
    if isinstance(what, str):
        selector = parse(what).root
        if not isinstance(selector, Selector):
            raise ValueError(f"{what!r} needs a step such as 1m: only plain selectors have samples")
        catalog.load()
        known = reader.matching(selector)
    else:
        known = _known(what)
    labels = {one.id: one.labels for one in known}
    budget = Budget(settings.SAMPLES_PER_QUERY)
    for id, (times, values) in samples.read(list(labels), start_ms, end_ms, budget).items():
        yield Line(labels[id], times.astype("datetime64[ms]"), values.copy())


def _steps(what: What, start_ms: int, end_ms: int, step_ms: int) -> Iterator[Line]:
    lookback_ms = settings.LOOKBACK_SECONDS * 1000
    if isinstance(what, str):
        expression, source = parse(what), reader.Stored(step_ms, lookback_ms)
    else:
        expression = Expression("{}", Selector(()))
        source = reader.Stored(step_ms, lookback_ms, _known(what))
    first_ms, last_ms = (start_ms // step_ms + 1) * step_ms, end_ms // step_ms * step_ms
    matrix = evaluate(expression, source, first_ms, last_ms, step_ms, lookback_ms)
    for labels, row in zip(matrix.labels, matrix.values, strict=True):
        yield Line(labels, matrix.times.astype("datetime64[ms]"), row)


def _known(series: Series | Iterable[Series]) -> list[catalog.Known]:
    ids = [one.pk for one in ([series] if isinstance(series, Series) else series)]
    catalog.learn(ids)
    return [known for id in ids if (known := catalog.get(id)) is not None]
