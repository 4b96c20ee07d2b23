"""Who is in which conversation of a town: computed, so that no list is held in memory.

Users have a rank: the user of rank 0 is in the most conversations. Conversations are
laid out in rounds. Round r holds every user who is in more than r conversations, once,
in an order of its own, and a conversation is a stretch of a round. So no user is in a
conversation twice, and each is in exactly as many as planned.
"""

import heapq
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

# Bounds of a conversation's members and of a user's conversations.
SMALLEST, LARGEST = 5, 100_000
MOST_CHATS = 500
# Users in the highest number of conversations; a small town has fewer.
BUSY_USERS = 100
# The exponents of the power laws: of conversations by size, of users by conversations,
# and of conversations by messages.
SIZE_TAIL, CHATS_TAIL, MESSAGES_TAIL = 1.2, 1.5, 1.1
MOST_MESSAGES = 10_000
GOLDEN = (math.sqrt(5) - 1) / 2


class Order(NamedTuple):
    """A permutation of 0 … count - 1: place → (place x step + shift) mod count.

    Neighbours are far apart, as the members of a conversation are among all users.
    """

    count: int
    step: int
    shift: int

    def of(self, place: int) -> int:
        return (place * self.step + self.shift) % self.count


class PlannedChat(NamedTuple):
    """A conversation: the places `first` … `first + size - 1` of a round."""

    id: int
    size: int
    messages: int
    first: int
    round: Order


@dataclass(frozen=True)
class Town:
    """The plan of a town. The same numbers and seed make the same town."""

    devices: int
    memberships: int
    messages: int
    seed: int = 1

    def __post_init__(self) -> None:
        if self.devices < SMALLEST * 10 or self.memberships > self.devices * 10:
            raise ValueError("a town needs 50 devices, and memberships not ten times")

    @property
    def users(self) -> int:
        """Every fourth user has two devices, the others have one."""
        return -(-self.devices * 4 // 5)

    @property
    def busy_users(self) -> int:
        """The number of users in MOST_CHATS conversations; their ranks come first."""
        busy = min(BUSY_USERS, self.memberships // (MOST_CHATS + 100))
        return busy if busy >= SMALLEST else 0

    @property
    def by_rank(self) -> Order:
        """Rank → user (from 0)."""
        return _order(self.users, random.Random(f"{self.seed} ranks"))

    def user_of(self, rank: int) -> int:
        return 1 + self.by_rank.of(rank)

    def rounds(self) -> list[int]:
        """The number of users in each round, by a power law; together `memberships`."""

        def people(active: float) -> list[int]:
            curve = [active * r**-CHATS_TAIL for r in range(1, MOST_CHATS + 1)]
            found = [min(self.users, max(self.busy_users, int(n))) for n in curve]
            return [n for n in found if n >= SMALLEST]

        low, high = 0.0, float(self.memberships)
        for _ in range(60):
            middle = (low + high) / 2
            if sum(people(middle)) <= self.memberships:
                low = middle
            else:
                high = middle
        found = people(low)
        # The rest are users of one conversation.
        found[0] = min(self.users, found[0] + self.memberships - sum(found))
        return found

    def chats(self) -> Iterator[PlannedChat]:
        """All conversations; large and small ones are mixed."""
        dice = random.Random(f"{self.seed} chats")
        people = self.rounds()
        orders = [_order(count, dice) for count in people]
        placed = _place(people)
        dice.shuffle(placed)
        weights = [dice.paretovariate(MESSAGES_TAIL) for _ in placed]
        scale = self.messages / sum(weights)
        for number, (round_, first, size) in enumerate(placed):
            messages = min(MOST_MESSAGES, round(weights[number] * scale))
            yield PlannedChat(number + 1, size, messages, first, orders[round_])

    def members_of(self, chat: PlannedChat) -> list[int]:
        """The users in it; the generator has the database compute the same."""
        places = range(chat.first, chat.first + chat.size)
        return [self.user_of(chat.round.of(place)) for place in places]


def _order(count: int, dice: random.Random) -> Order:
    step = max(1, int(count * GOLDEN))
    while math.gcd(step, count) != 1:
        step += 1
    return Order(count, step, dice.randrange(count))


def _sizes(memberships: int, largest: int) -> list[int]:
    """Sizes by a bounded power law, the largest first."""
    bound = 1 - (SMALLEST / largest) ** SIZE_TAIL
    mean = SIZE_TAIL / (SIZE_TAIL - 1) * SMALLEST
    mean *= (1 - (SMALLEST / largest) ** (SIZE_TAIL - 1)) / bound
    count = max(1, int(memberships / mean))
    shares = ((count - k - 0.5) / count for k in range(1, count))
    return [
        largest,
        *(int(SMALLEST * (1 - q * bound) ** (-1 / SIZE_TAIL)) for q in shares),
    ]


def _place(people: list[int]) -> list[tuple[int, int, int]]:
    """Stretches of the rounds as (round, first place, size); they fill each round."""
    room = [(-count, round_) for round_, count in enumerate(people)]
    heapq.heapify(room)
    placed = []

    def take(size: int) -> None:
        left, round_ = heapq.heappop(room)
        size = min(size, -left)
        if -left - size < SMALLEST:
            # No other conversation fits behind it.
            size = -left if -left <= LARGEST else size - SMALLEST
        placed.append((round_, people[round_] + left, size))
        if left + size:
            heapq.heappush(room, (left + size, round_))

    # Users of a single conversation are in conversations of any size, too.
    for size in _sizes(sum(people), min(LARGEST, max(people))):
        if room:
            take(size)
    while room:
        take(SMALLEST)
    return placed
