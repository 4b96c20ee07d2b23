"""The plan of a town: bounds, totals, and that it is the same each time."""

from collections import Counter

import pytest

from benchmarks.town_plan import LARGEST, MOST_CHATS, SMALLEST, Town

TOWN = Town(devices=20_000, memberships=60_000, messages=5_000)


def test_a_large_town_has_conversations_of_every_size() -> None:
    town = Town(devices=2_000_000, memberships=1_000_000, messages=500_000)

    sizes = [chat.size for chat in town.chats()]

    assert sum(sizes) == 1_000_000
    assert (min(sizes), max(sizes)) == (SMALLEST, LARGEST)
    # Most are small, and many members are in the few large ones.
    assert sorted(sizes)[len(sizes) // 2] < 15
    assert sum(size for size in sizes if size > 1000) > 200_000


@pytest.mark.parametrize("memberships", [100, 3_000, 40_000])
def test_no_user_is_in_a_conversation_twice(memberships: int) -> None:
    town = Town(devices=20_000, memberships=memberships, messages=100)

    members = [town.members_of(chat) for chat in town.chats()]

    assert sum(map(len, members)) == memberships
    assert all(len(set(users)) == len(users) >= SMALLEST for users in members)
    users = {user for chat in members for user in chat}
    assert min(users) >= 1
    assert max(users) <= town.users


def test_few_users_are_in_very_many_conversations() -> None:
    counts = Counter(user for chat in TOWN.chats() for user in TOWN.members_of(chat))

    busiest = counts.most_common(TOWN.busy_users + 1)
    assert [n for _, n in busiest[:-1]] == [MOST_CHATS] * TOWN.busy_users
    assert busiest[-1][1] < MOST_CHATS
    ranks = {TOWN.user_of(rank) for rank in range(TOWN.busy_users)}
    assert {user for user, _ in busiest[:-1]} == ranks
    assert sorted(counts.values())[len(counts) // 2] <= 2


def test_the_same_seed_makes_the_same_town() -> None:
    same = Town(devices=20_000, memberships=60_000, messages=5_000)
    other = Town(devices=20_000, memberships=60_000, messages=5_000, seed=2)

    assert list(same.chats()) == list(TOWN.chats())
    assert list(other.chats()) != list(TOWN.chats())


def test_a_town_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="devices"):
        Town(devices=100, memberships=2_000, messages=0)
