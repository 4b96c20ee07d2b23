"""The bytes of long answers that clients have not taken."""

import pytest

from host.answers import LONG, SETTLED_S, Answers
from host.shares import Bounds, Client
from tests.support.clock import Clock

ANN, BOB = Client("a", "ann"), Client("b", "bob")
BOUNDS = Bounds(total=10 * LONG, address=6 * LONG, caller=4 * LONG)


class Looked:
    """Answers whose connections are looked at when they have no room."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.answers = Answers(BOUNDS, self.clock)
        self.answers.look = self.look
        self.behind: set[str] = set()
        self.looks = 0

    def look(self) -> None:
        self.looks += 1
        self.answers.settle(self.behind)

    def admit(self, *numbers: int, client: Client = ANN, size: int = LONG) -> int:
        """How many of these connections' answers are admitted; nobody takes them."""
        self.behind |= {f"{client.address}:{number}" for number in numbers}
        return sum(
            self.answers.admit(f"{client.address}:{number}", client, size)
            for number in numbers
        )


@pytest.fixture
def looked() -> Looked:
    return Looked()


def test_answers_of_a_caller_are_bounded(looked: Looked) -> None:
    assert looked.admit(*range(9)) == 4
    assert looked.admit(*range(9), client=BOB) == 4


def test_answers_of_an_address_are_bounded(looked: Looked) -> None:
    assert sum(looked.admit(n, client=Client("a", f"{n}")) for n in range(9)) == 6


def test_all_answers_are_bounded(looked: Looked) -> None:
    assert sum(looked.admit(n, client=Client(f"{n}")) for n in range(20)) == 10


def test_short_answers_do_not_count(looked: Looked) -> None:
    assert looked.admit(*range(99), size=LONG - 1) == 99


def test_what_has_been_taken_makes_room(looked: Looked) -> None:
    looked.admit(*range(9))
    looked.clock.now += 2 * SETTLED_S

    looked.behind = {"a:0"}

    assert looked.admit(*range(10, 19)) == 3
    assert looked.looks > 0


def test_an_answer_that_may_not_be_on_its_way_yet_counts(looked: Looked) -> None:
    looked.admit(*range(9))

    looked.behind = set()
    looked.clock.now += SETTLED_S / 2

    assert looked.admit(11) == 0


def test_two_answers_of_a_connection_count(looked: Looked) -> None:
    assert looked.admit(*[1] * 9) == 9
    assert looked.admit(*range(2, 9)) == 2


def test_a_refused_answer_leaves_the_one_before(looked: Looked) -> None:
    looked.admit(1)
    assert looked.admit(1, size=4 * LONG) == 0
    assert looked.admit(*range(2, 9)) == 3


def test_nothing_is_counted_where_nobody_looks() -> None:
    answers = Answers(BOUNDS)

    assert all(answers.admit(f"a:{n}", ANN, LONG) for n in range(99))
