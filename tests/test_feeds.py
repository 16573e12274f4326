"""Events and the list of metrics, as their watchers see them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dashboard import feeds, protocol
from dashboard.feeds import EventsFeed, MetricsFeed
from dashboard.ring import Ring
from metrics import catalog
from metrics.bell import StoredEvent
from metrics.columns import Columns
from metrics.head import Head
from metrics.rows import Description, Found, Known
from tests.live_support import read

NOW_MS = 1_790_000_000_000


def event(id: int) -> StoredEvent:
    return StoredEvent(id, NOW_MS + id, f"event {id}", "", {})


def heard(ring: Ring, cursor: str) -> list[protocol.ServerMessage]:
    """The frames that follow a cursor that the ring still reaches."""
    seq = ring.position(cursor)
    assert seq is not None, "a snapshot is needed"
    frames = []
    while (entry := ring.after(seq)) is not None:
        frames.append(read(entry.text(1)))
        seq = entry.seq
    return frames


def ids(frame: protocol.ServerMessage) -> list[int]:
    assert isinstance(frame, protocol.Events)
    return [item.id for item in frame.events]


class TestEvents:
    def test_who_comes_sees_the_newest_and_then_each_new_one(self) -> None:
        feed = EventsFeed()
        feed.fill([event(id) for id in range(1, 6)])
        first = read(feed.picture(3).text(1))
        assert ids(first) == [3, 4, 5]
        feed.add([event(6), event(7)])
        feed.add([event(8)])
        assert isinstance(first, protocol.Events)
        assert [ids(frame) for frame in heard(feed.ring, first.cursor)] == [[6, 7], [8]]

    def test_who_comes_sees_no_event_that_was_deleted(self) -> None:
        feed = EventsFeed()
        feed.fill([event(1), event(2), event(3)])
        assert ids(read(feed.picture(5).text(1))) == [1, 2, 3]
        feed.drop({2, 9})
        assert ids(read(feed.picture(5).text(1))) == [1, 3]
        assert feed.ids() == {1, 3}

    def test_an_event_that_comes_twice_is_shown_once(self) -> None:
        feed = EventsFeed()
        cursor = feed.ring.cursor
        feed.add([event(1)])
        feed.add([event(1)])
        feed.add([event(1), event(2)])
        assert [ids(frame) for frame in heard(feed.ring, cursor)] == [[1], [2]]

    def test_an_event_that_comes_late_takes_its_place(self) -> None:
        feed = EventsFeed()
        feed.add([event(2)])
        feed.add([event(1)])
        assert ids(read(feed.picture(10).text(1))) == [1, 2]

    def test_a_snapshot_tells_what_came_since_the_last_one(self) -> None:
        feed = EventsFeed()
        assert ids(read(feed.picture(10).text(1))) == []
        feed.add([event(1)])
        assert ids(read(feed.picture(10).text(1))) == [1]
        assert feed.picture(10) is feed.picture(10), "made once for everybody"
        assert ids(read(feed.picture(1).text(1))) == [1]

    def test_only_so_many_are_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(feeds, "EVENTS_KEPT", 5)
        feed = EventsFeed()
        feed.add([event(id) for id in range(1, 20)])
        assert ids(read(feed.picture(1000).text(1))) == [15, 16, 17, 18, 19]


class World:
    """A feed of metrics, with the catalog and the head behind it."""

    def __init__(self) -> None:
        self.head = Head(NOW_MS - 600_000, span_ms=600_000, most_samples=1000)
        self.feed = MetricsFeed(self.head)
        self.feed.watchers = 1

    def publish(self, id: int, name: str, value: float, at_ms: int = 0, **labels: str) -> None:
        found = Found(Known(id, {"__name__": name, **labels}), Description())
        catalog._remember([found], catalog._generation)
        self.head.apply(Columns.of([id], [NOW_MS + at_ms], [value]))
        self.feed.touch([id])

    def picture(self, now_ms: int = NOW_MS) -> protocol.Metrics:
        frame = read(self.feed.picture(now_ms).text(1))
        assert isinstance(frame, protocol.Metrics)
        return frame

    def changes(self, cursor: str) -> list[list[tuple[str, float | None]]]:
        told = []
        for frame in heard(self.feed.ring, cursor):
            assert isinstance(frame, protocol.Metrics)
            told.append([(item.name, item.value) for item in frame.metrics])
        return told


class TestMetrics:
    @pytest.fixture(autouse=True)
    def _own_catalog(self) -> Iterator[None]:
        catalog.forget()
        yield
        catalog.forget()

    @pytest.fixture
    def world(self) -> World:
        return World()

    def test_the_first_frame_names_all_with_their_newest_sample(self, world: World) -> None:
        world.publish(1, "b", 1.5, -2000, region="eu")
        world.publish(2, "b", 2.5, -1000, region="us")
        world.publish(3, "a", 9.0, -3000)
        a, b = world.picture().metrics
        assert (a.name, a.series, a.value, a.time) == ("a", 1, 9.0, NOW_MS - 3000)
        assert (b.name, b.series, b.value, b.labels) == ("b", 2, 2.5, {"region": "us"})

    def test_a_metric_that_never_had_a_sample_is_named_all_the_same(self, world: World) -> None:
        catalog._metrics["planned"] = Description("counter")
        (item,) = world.picture().metrics
        assert (item.name, item.kind, item.series) == ("planned", "counter", 0)
        assert (item.time, item.value, item.spark) == (None, None, [])

    def test_the_spark_is_the_last_minute(self, world: World) -> None:
        for second in range(10, 0, -1):
            world.publish(1, "a", float(second), -1000 * second)
        spark = world.picture().metrics[0].spark
        assert spark is not None and len(spark) == feeds.SPARK_POINTS
        assert spark[:49] == [None] * 49
        assert spark[49:] == [10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 1.0]

    def test_later_frames_hold_what_changed_and_only_that(self, world: World) -> None:
        world.publish(1, "a", 1.0)
        world.publish(2, "b", 2.0)
        world.feed.flush()
        cursor = world.picture().cursor
        world.publish(1, "a", 3.0)
        world.publish(1, "a", 4.0)
        assert world.feed.flush()
        assert not world.feed.flush()
        assert world.changes(cursor) == [[("a", 4.0)]]

    def test_a_description_that_changed_is_told(self, world: World) -> None:
        world.publish(1, "a", 1.0)
        world.feed.flush()
        cursor = world.picture().cursor
        catalog._metrics["a"] = Description("gauge", "bytes", "How much.")
        world.feed.changed(["a"])
        world.feed.flush()
        (frame,) = heard(world.feed.ring, cursor)
        assert isinstance(frame, protocol.Metrics)
        (item,) = frame.metrics
        assert (item.unit, item.help, item.value) == ("bytes", "How much.", 1.0)

    def test_of_series_at_the_same_time_the_oldest_is_shown(self, world: World) -> None:
        world.publish(1, "a", 1.0, region="eu")
        world.publish(2, "a", 2.0, region="us")
        assert world.picture().metrics[0].labels == {"region": "eu"}
        cursor = world.feed.ring.cursor
        world.feed.flush()
        assert world.changes(cursor) == [[("a", 1.0)]]

    def test_who_comes_back_after_nobody_looked_begins_anew(self, world: World) -> None:
        world.publish(1, "a", 1.0)
        world.feed.flush()
        cursor = world.picture().cursor
        world.feed.watchers = 0
        world.publish(1, "a", 2.0)
        world.feed.flush()
        world.feed.watchers = 1
        assert world.feed.ring.position(cursor) is None
        assert world.picture().metrics[0].value == 2.0

    def test_who_comes_back_when_nothing_happened_goes_on(self, world: World) -> None:
        world.publish(1, "a", 1.0)
        world.feed.flush()
        cursor = world.picture().cursor
        world.feed.watchers = 0
        world.feed.watchers = 1
        assert world.changes(cursor) == []

    def test_a_snapshot_serves_all_who_ask_within_a_second(self, world: World) -> None:
        world.publish(1, "a", 1.0)
        frame = world.feed.picture(NOW_MS)
        cursor = world.picture().cursor
        world.publish(1, "a", 2.0)
        world.feed.flush()
        assert world.feed.picture(NOW_MS + 999) is frame
        assert world.changes(cursor) == [[("a", 2.0)]], "and the ring tells the rest"
        assert world.picture(NOW_MS + 1000).metrics[0].value == 2.0
        assert world.feed.picture(NOW_MS - 5000) is not frame, "also when the clock was put back"
