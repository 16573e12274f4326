"""What is shared with whom: asked of the database in few questions, and kept in order."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, OperationalError
from hypothesis import given
from hypothesis import strategies as st

from dashboard import sharing
from dashboard.granted import HOLDS_S, Granted
from dashboard.models import Dashboard, Panel, Share
from dashboard.protocol import WatchRefused
from dashboard.sharing import (
    EVENTS,
    EVERYTHING,
    METRICS,
    Grants,
    Subject,
    Topic,
    grants_of,
    visible_to,
)
from dashboard.viewer import Viewer
from metrics import access
from metrics.query import Expression, parse
from tests.support.waiting import DEADLINE_S, aeventually

ANN = 1
ORDERS, WAGES = parse("orders"), parse("wages")


@pytest.fixture
def not_all(settings: Any) -> None:
    settings.READ_ALL = False


def board(slug: str, *exprs: str, lists_events: bool = False) -> Dashboard:
    made = Dashboard.objects.create(slug=slug, title=slug)
    for expr in exprs:
        Panel.objects.create(dashboard=made, title="panel", expr=expr)
    if lists_events:
        Panel.objects.create(dashboard=made, title="events", kind=Panel.Kind.EVENTS)
    return made


@pytest.mark.django_db
class TestShares:
    def test_one_is_with_a_group_or_a_person_and_never_with_both_or_nobody(self) -> None:
        shop, ann = board("shop"), User.objects.create_user("ann")
        team = Group.objects.create(name="team")
        for wrong in (Share(dashboard=shop), Share(dashboard=shop, user=ann, group=team)):
            with pytest.raises(ValidationError, match="a group or a person, one of the two"):
                wrong.full_clean()
        with pytest.raises(IntegrityError):
            Share.objects.create(dashboard=shop)

    def test_the_same_is_shared_once(self) -> None:
        shop, ann = board("shop"), User.objects.create_user("ann")
        Share.objects.create(dashboard=shop, user=ann)
        with pytest.raises(ValidationError, match="already exists"):
            Share(dashboard=shop, user=ann).full_clean()

    @pytest.mark.usefixtures("not_all")
    def test_who_is_nobody_sees_nothing(self) -> None:
        board("shop")
        gone = User.objects.create_user("ann", is_active=False)
        Share.objects.create(dashboard=board("wages"), user=gone)
        publisher, _ = access.make_token("shop", "publish")
        for nobody in (AnonymousUser(), gone, publisher):
            assert not visible_to(nobody).exists()

    @pytest.mark.usefixtures("not_all")
    def test_a_dashboard_shared_twice_is_seen_once(self) -> None:
        shop, ann = board("shop"), User.objects.create_user("ann")
        for name in ("team", "staff"):
            group = Group.objects.create(name=name)
            ann.groups.add(group)
            Share.objects.create(dashboard=shop, group=group)
        Share.objects.create(dashboard=shop, user=ann)
        assert list(visible_to(ann)) == [shop]


@pytest.mark.django_db
class TestGrants:
    def test_where_all_is_read_nothing_is_asked(self, django_assert_num_queries: Any) -> None:
        with django_assert_num_queries(0):
            assert grants_of({1, 2}) == {1: EVERYTHING, 2: EVERYTHING}

    @pytest.mark.usefixtures("not_all")
    def test_where_nobody_is_limited_one_question_is_enough(
        self, django_assert_num_queries: Any
    ) -> None:
        root = User.objects.create_superuser("root")
        with django_assert_num_queries(1):
            assert grants_of({root.pk}) == {root.pk: EVERYTHING}

    @pytest.mark.usefixtures("not_all")
    def test_however_many_are_limited_it_is_four(self, django_assert_num_queries: Any) -> None:
        team = Group.objects.create(name="team")
        people = User.objects.bulk_create(User(username=f"user{n}") for n in range(300))
        team.user_set.set(people[:200])
        Group.objects.create(name="others").user_set.set(people[100:])
        shop = board("shop", "orders", "sum(", lists_events=True)
        Share.objects.create(dashboard=shop, group=team)
        Share.objects.create(dashboard=board("wages", "wages"), user=people[0])
        with django_assert_num_queries(4):
            found = grants_of({one.pk for one in people})
        of_shop: frozenset[Subject] = frozenset({ORDERS, EVENTS, Topic("presence", "shop")})
        assert found[people[1].pk].subjects == of_shop
        assert found[people[0].pk].subjects == of_shop | {WAGES, Topic("presence", "wages")}
        assert found[people[299].pk].subjects == frozenset()
        again = grants_of({one.pk for one in people})
        assert all(again[pk] is grants for pk, grants in found.items()), "nothing has changed"

    @pytest.mark.usefixtures("not_all")
    def test_more_people_than_a_question_may_name_are_asked_for_in_parts(self) -> None:
        people = User.objects.bulk_create(
            User(username=f"user{n}", is_superuser=n % 2 == 0) for n in range(1101)
        )
        shop = board("shop", "orders")
        Share.objects.create(dashboard=shop, group=Group.objects.create(name="team"))
        Group.objects.get().user_set.set(people)
        found = grants_of({one.pk for one in people})
        assert all((found[one.pk] is EVERYTHING) == one.is_superuser for one in people)
        assert all(found[one.pk].allow(ORDERS) for one in people)


@pytest.mark.parametrize(
    "asked",
    ["rate(orders[1m])", 'orders{a=""}', 'orders{a=~".*"}', "sum(orders)", "order", "Orders",
     '{__name__=~"orders"}'],
)  # fmt: skip
def test_what_is_not_the_panels_own_expression_is_not_granted(asked: str) -> None:
    grants = Grants(frozenset({ORDERS}))
    assert not grants.allow(parse(asked))
    for subject in (EVENTS, METRICS, Topic("presence", "a"), None):
        assert not grants.allow(subject)


LABELS = st.sampled_from(["region", "job"])
MATCHERS = st.tuples(LABELS, st.sampled_from(["=", "!=", "=~"]), st.sampled_from(["eu", "a|b"]))
NAMES = st.sampled_from(["orders", "wages"])
TREES = st.recursive(
    st.tuples(st.just("select"), NAMES, st.lists(MATCHERS, max_size=2), st.sampled_from([0, 60])),
    lambda inner: st.tuples(st.sampled_from(["sum", "max"]), inner, st.sets(LABELS)),
    max_leaves=3,
)


def tokens(tree: Any) -> list[str]:
    """The expression in pieces between which spaces may stand."""
    if tree[0] == "select":
        _, name, matchers, seconds = tree
        inside = [piece for one in matchers for piece in (one[0], one[1], f'"{one[2]}"', ",")]
        selector = [name, *(["{", *inside[:-1], "}"] if matchers else [])]
        return ["rate", "(", *selector, "[", f"{seconds}s", "]", ")"] if seconds else selector
    operator, inner, labels = tree
    by = ["by", "(", *",".join(sorted(labels)).replace(",", " , ").split(), ")"] if labels else []
    return [operator, *by, "(", *tokens(inner), ")"]


def meaning(tree: Any) -> Any:
    """What makes two expressions the same."""
    if tree[0] == "select":
        return (tree[1], tuple(tree[2]), tree[3])
    return (tree[0], frozenset(tree[2]), meaning(tree[1]))


@given(TREES, TREES, st.lists(st.sampled_from([" ", "\n", "\t "]), min_size=60, max_size=60))
def test_spaces_make_no_difference_and_anything_else_does(
    panels: Any, asked: Any, spaces: list[str]
) -> None:
    def text(tree: Any) -> str:
        pieces = zip(tokens(tree), spaces, strict=False)
        return "".join(piece + space for piece, space in pieces)

    grants = Grants(frozenset({parse(" ".join(tokens(panels)))}))
    assert grants.allow(parse(f"({text(panels)})"))
    assert grants.allow(parse(text(asked))) == (meaning(asked) == meaning(panels))


class World:
    """A reader of grants in the test's hands."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.granted: dict[int, Grants] = {}
        self.fails = False
        self.asked = 0
        self.answers = threading.Event()
        self.answers.set()
        self.told: list[Mapping[int, Grants]] = []
        self.book = Granted(self.told.append, self.read, lambda: self.now_s)

    def read(self, accounts: set[int]) -> dict[int, Grants]:
        self.asked += 1
        if self.fails:
            raise OperationalError("gone")
        found = {account: self.granted.get(account, Grants(frozenset())) for account in accounts}
        self.answers.wait(DEADLINE_S)
        return found

    def grant(self, *subjects: Expression) -> Grants:
        self.granted[ANN] = Grants(frozenset(subjects))
        return self.granted[ANN]

    async def look(self) -> None:
        await self.book.look([Viewer(user=ANN)])

    async def may_watch(self, subject: Expression) -> bool:
        try:
            await self.book.admit(Viewer(user=ANN), subject)
        except WatchRefused as refused:
            assert re.search("not on a dashboard that is shared", str(refused))
            return False
        return True


@pytest.mark.usefixtures("not_all")
class TestWhatIsKnown:
    async def test_what_is_not_known_to_be_allowed_is_asked_for_each_time(self) -> None:
        world = World()
        assert not await world.may_watch(ORDERS)
        assert not await world.may_watch(ORDERS)
        world.grant(ORDERS)
        assert await world.may_watch(ORDERS)
        assert world.asked == 3

    async def test_nobody_is_refused_by_what_was_read_before_they_asked(self) -> None:
        world = World()
        world.answers.clear()
        early = asyncio.create_task(world.may_watch(ORDERS))
        await aeventually(lambda: world.asked == 1)
        world.grant(ORDERS)
        late = asyncio.create_task(world.may_watch(ORDERS))
        for _ in range(5):
            await asyncio.sleep(0)
        world.answers.set()
        assert (await early, await late) == (False, True)

    async def test_what_is_known_to_be_allowed_costs_no_question(self) -> None:
        world = World()
        world.grant(ORDERS, WAGES)
        for subject in (ORDERS, WAGES, ORDERS):
            assert await world.may_watch(subject)
        assert world.asked == 1

    async def test_nobody_begins_by_rights_from_before_the_database_was_lost(self) -> None:
        world = World()
        world.grant(ORDERS)
        await world.look()
        world.fails = True
        assert await world.may_watch(ORDERS)
        world.now_s += HOLDS_S
        with pytest.raises(OperationalError):
            await world.may_watch(ORDERS)

    async def test_changes_are_told_and_nothing_else(self) -> None:
        world = World()
        both = world.grant(ORDERS, WAGES)
        await world.look()
        await world.look()
        less = world.grant(ORDERS)
        await world.look()
        world.granted[ANN] = EVERYTHING
        await world.look()
        assert world.told == [{ANN: both}, {ANN: less}]

    async def test_a_reading_that_was_overtaken_by_a_newer_one_counts_no_more(self) -> None:
        world = World()
        world.grant(ORDERS, WAGES)
        older = world.book._read({ANN})
        world.grant(ORDERS)
        await world.look()
        world.book._learn(older)
        with pytest.raises(WatchRefused):
            world.book.check(Viewer(user=ANN), WAGES)

    async def test_who_has_left_is_forgotten(self) -> None:
        world = World()
        world.grant(ORDERS)
        await world.look()
        await world.book.look([])
        assert not world.book._known

    async def test_many_who_ask_at_once_are_one_question(self) -> None:
        world = World()
        world.grant(ORDERS)
        assert all(await asyncio.gather(*(world.may_watch(ORDERS) for _ in range(50))))
        assert world.asked <= 3

    async def test_tokens_read_everything(self) -> None:
        world = World()
        await world.book.admit(Viewer(source=7), METRICS)
        assert world.asked == 0

    async def test_where_all_is_read_nobody_is_looked_up(self, settings: Any) -> None:
        settings.READ_ALL = True
        world = World()
        await world.look()
        assert await world.may_watch(WAGES)
        assert world.asked == 0


def test_the_same_rows_make_the_same_grants() -> None:
    rows = frozenset({("shop", "line", "orders"), ("shop", "events", "")})
    assert sharing._grants(rows) is sharing._grants(frozenset(rows))
