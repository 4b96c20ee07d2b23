"""What a history of messages, pushes and strikes says about the guarantees.

Pure functions: `evidence.py` collects the history, and `check` judges it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import NamedTuple

# How long after a provider's return its devices may still answer "later".
RECOVERY_S = 1.0
# A push that is written when a process is struck arrives a little later.
ON_THE_WAY_S = 0.5
NEVER = float("inf")


class Saved(NamedTuple):
    """A message that is in the database, or was answered."""

    chat: int
    seq: int
    # When its sender posted it for the first time.
    posted_at: float


class Arrival(NamedTuple):
    """A push that the provider accepted."""

    at: float
    message: int
    token: str


class Strike(NamedTuple):
    """A fault, and the time in which it was in force."""

    fault: str
    began: float
    ended: float
    # Devices may have answered "later", or nothing.
    hits_provider: bool = False
    # Hosts disagree about the time, so that they take each other's leases at will.
    voids_leases: bool = False


class Counts(NamedTuple):
    """The counters of a message's jobs; `total` is None if it was never counted."""

    total: int | None
    accepted: int
    failed: int
    is_open: bool


@dataclass(frozen=True)
class History:
    """All that was seen of one part."""

    # Conversation → the device tokens of all members but the sender.
    audiences: Mapping[int, frozenset[str]]
    messages: Mapping[int, Saved]
    # In the order in which they arrived.
    arrivals: Sequence[Arrival]
    strikes: Sequence[Strike] = ()
    # (Message, device) → a time by which its acceptance was seen as recorded.
    recorded_by: Mapping[tuple[int, str], float] = field(default_factory=dict)
    # (Message, device) for which an outcome other than "accepted" was recorded.
    put_off: frozenset[tuple[int, str]] = frozenset()
    counts: Mapping[int, Counts] = field(default_factory=dict)
    # Conversation → its highest number, and all numbers of its messages.
    last_seqs: Mapping[int, int] = field(default_factory=dict)
    seqs: Mapping[int, Sequence[int]] = field(default_factory=dict)
    # How often each text was saved; a text is posted once, with its client id.
    texts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Findings:
    """What the history shows. All but the first five figures should be zero."""

    messages: int = 0
    pushes: int = 0
    strikes: int = 0
    # Pushes that a device got again, and how many were in flight at the strikes.
    repeated: int = 0
    in_flight: int = 0
    lost: int = 0
    # Messages that are lost for at least one device.
    incomplete: int = 0
    # Repetitions of pushes that were not in flight at as many strikes.
    unexcused: int = 0
    inversions: int = 0
    gaps: int = 0
    saved_twice: int = 0
    stuck: int = 0
    miscounted: int = 0


GUARANTEES = tuple(each.name for each in fields(Findings))[5:]


def check(history: History) -> Findings:
    repeated, in_flight, unexcused = repetitions(history)
    return Findings(
        messages=len(history.messages),
        pushes=len(expected(history)),
        strikes=len(history.strikes),
        repeated=repeated,
        in_flight=in_flight,
        lost=len(missing := lost(history)),
        incomplete=len({message for message, _ in missing}),
        unexcused=unexcused,
        inversions=len(inversions(history)),
        gaps=gaps(history),
        saved_twice=sum(count - 1 for count in history.texts.values()),
        stuck=sum(counts.is_open for counts in history.counts.values()),
        miscounted=len(miscounted(history)),
    )


def expected(history: History) -> set[tuple[int, str]]:
    """A push for each device of each message."""
    return {
        (message, token)
        for message, saved in history.messages.items()
        for token in history.audiences[saved.chat]
    }


def lost(history: History) -> set[tuple[int, str]]:
    """The (message, device) that never arrived, unless the job is open: it is stuck."""
    missing = expected(history) - {(one.message, one.token) for one in history.arrivals}
    counts = history.counts
    return {
        push for push in missing if push[0] not in counts or not counts[push[0]].is_open
    }


def repetitions(history: History) -> tuple[int, int, int]:
    """Repeated pushes, pushes in flight at the strikes, and unexcused repetitions.

    A push is in flight at a strike if it had arrived when the strike ended, and was not
    seen as recorded when the strike began. Each strike excuses one repetition of each
    push that it met in flight, and any number if it voids the leases.
    """
    met = _met_in_flight(history)
    excess = _excess(history, met)
    repeated = len(history.arrivals) - len(met)
    return repeated, sum(map(len, met.values())), sum(excess.values())


def unexcused(history: History) -> dict[tuple[int, str], int]:
    """(Message, device) → repetitions beyond the strikes that met it in flight."""
    return _excess(history, _met_in_flight(history))


def _excess(
    history: History, met: Mapping[tuple[int, str], Sequence[Strike]]
) -> dict[tuple[int, str], int]:
    times = Counter((one.message, one.token) for one in history.arrivals)
    return {
        push: excess
        for push, strikes in met.items()
        if (excess := times[push] - 1 - len(strikes)) > 0
        and not any(strike.voids_leases for strike in strikes)
    }


def _met_in_flight(history: History) -> dict[tuple[int, str], list[Strike]]:
    return {
        push: [
            strike
            for strike in history.strikes
            if at <= strike.ended + ON_THE_WAY_S
            and history.recorded_by.get(push, NEVER) >= strike.began
        ]
        for push, at in first_arrivals(history.arrivals).items()
    }


def first_arrivals(arrivals: Iterable[Arrival]) -> dict[tuple[int, str], float]:
    first: dict[tuple[int, str], float] = {}
    for one in arrivals:
        first.setdefault((one.message, one.token), one.at)
    return first


def inversions(history: History) -> list[tuple[int, str]]:
    """The (message, device) that came for the first time behind a later message.

    A device that answered "later" to the earlier message, or whose provider was struck
    while the message was on its way, may get the later one first.
    """
    late = []
    # (Conversation, device) → the highest number that has arrived.
    highest: defaultdict[tuple[int, str], int] = defaultdict(int)
    for (message, token), at in first_arrivals(history.arrivals).items():
        saved = history.messages.get(message)
        if saved is None:
            continue
        place = saved.chat, token
        if saved.seq < highest[place] and not _may_be_late(history, message, token, at):
            late.append((message, token))
        highest[place] = max(highest[place], saved.seq)
    return late


def _may_be_late(history: History, message: int, token: str, at: float) -> bool:
    if (message, token) in history.put_off:
        return True
    posted_at = history.messages[message].posted_at
    return any(
        strike.began <= at and posted_at <= strike.ended + RECOVERY_S
        for strike in history.strikes
        if strike.hits_provider
    )


def gaps(history: History) -> int:
    """Numbers that are missing, that two messages share, or beyond the last one."""
    found = 0
    for chat, last_seq in history.last_seqs.items():
        numbers = Counter(history.seqs.get(chat, ()))
        wanted = Counter(range(1, last_seq + 1))
        found += (wanted - numbers).total() + (numbers - wanted).total()
    return found


def miscounted(history: History) -> list[int]:
    """Messages with ended jobs whose counters differ from what the provider has."""
    there: defaultdict[int, set[str]] = defaultdict(set)
    for one in history.arrivals:
        there[one.message].add(one.token)
    wrong = []
    for message, counts in history.counts.items():
        audience = history.audiences[history.messages[message].chat]
        arrived = len(there[message] & audience)
        right = len(audience), arrived, len(audience) - arrived
        if not counts.is_open and right != (
            counts.total,
            counts.accepted,
            counts.failed,
        ):
            wrong.append(message)
    return wrong
