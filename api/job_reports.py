"""What a job tells its members and the service about its devices."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from datastore import live_platforms
from datastore.outbox import failed_devices, job_status
from datastore.outbox.failed_devices import FailedDevice, Place
from datastore.outbox.job_status import MOST_FAILURES, JobStatus
from datastore.outbox.outcome_counts import ACCEPTED, Counts
from models.base import utc_now

WAITING, GIVEN_UP = "waiting", "given_up"
UNCONFIGURED = "unconfigured"
# An outcome of the notifier → our word for it; the others wait for another try.
WORDS = {
    ACCEPTED: ACCEPTED,
    "gone": "unregistered",
    "suspect": "not_taken",
    "refused": "refused",
    UNCONFIGURED: "not_set_up",
}
# The words as people read them.
MEANINGS = {
    ACCEPTED: "accepted",
    "unregistered": "no longer registered",
    "not_taken": "not taken by the provider",
    "refused": "refused",
    "not_set_up": "platform not set up on this server",
    WAITING: "will be tried again",
    GIVEN_UP: "not reached in time",
}


@dataclass(frozen=True, kw_only=True)
class Count:
    """How many devices of a platform ended alike."""

    platform: str | None
    outcome: str
    devices: int


@dataclass(frozen=True, kw_only=True)
class Report:
    """The devices of a job."""

    outcomes: Sequence[Count]
    failures: Sequence[FailedDevice]
    # What `place_of` reads; None if no more follow.
    next_failures: str | None
    notices: Sequence[str]


def _as_text(place: Place) -> str:
    return f"{place.job}-{place.device}"


def place_of(text: str | None) -> Place | None:
    """The place at which a list of failures goes on, as `next_failures` says it."""
    if text is None:
        return None
    job, _, device = text.partition("-")
    return Place(int(job), int(device))


def of_job(
    session: Session,
    job: JobStatus,
    owner: int | None,
    *,
    after: Place | None = None,
    limit: int = MOST_FAILURES,
) -> Report:
    """The report for a member, or for the service without an owner.

    Nothing but the job's own row is read when all devices have accepted.
    """
    counts = job.outcomes
    if counts is None:
        counts = job_status.count_failures(session, job)
    has_failures = counts.total() > job.accepted
    failures: Sequence[FailedDevice] = []
    if has_failures:
        failures = failed_devices.of_jobs(
            session, job.shards, user_id=owner, after=after, limit=limit + 1
        )
    has_more = len(failures) > limit
    failures = failures[:limit]
    return Report(
        outcomes=_in_words(counts, job.has_ended),
        failures=failures,
        next_failures=_as_text(failures[-1].place) if has_more else None,
        notices=_notices(session, counts, job),
    )


def _in_words(counts: Counts, has_ended: bool) -> list[Count]:
    other = GIVEN_UP if has_ended else WAITING
    found: Counter[tuple[str, str]] = Counter()
    for (platform, outcome), devices in counts.items():
        found[platform, WORDS.get(outcome, other)] += devices
    order = list(MEANINGS)
    return [
        Count(platform=platform or None, outcome=word, devices=devices)
        for (platform, word), devices in sorted(
            found.items(), key=lambda each: (each[0][0], order.index(each[0][1]))
        )
        if devices > 0
    ]


def _notices(
    session: Session, counts: Mapping[tuple[str, str], int], job: JobStatus
) -> list[str]:
    """Which platforms are not set up here, and what that means for their devices."""
    missing = {
        platform: devices
        for (platform, outcome), devices in sorted(counts.items())
        if outcome == UNCONFIGURED and devices > 0
    }
    if not missing:
        return []
    live = live_platforms.find(session, utc_now())
    return [
        _notice(
            platform,
            devices,
            is_live=platform in live,
            # BOTTLEPOST_MISSING_PLATFORM says whether they wait.
            is_over=job.has_ended
            or not failed_devices.wait(
                session, job.shards, platform=platform, outcome=UNCONFIGURED
            ),
        )
        for platform, devices in missing.items()
    ]


def _notice(platform: str, devices: int, *, is_live: bool, is_over: bool) -> str:
    number = "1 device" if devices == 1 else f"{devices:,} devices"
    if is_over:
        verb = "was" if devices == 1 else "were"
        return f"{platform} is not set up on this server: {number} {verb} not reached"
    verb = "waits" if devices == 1 else "wait"
    if is_live:
        return (
            f"{platform} was not set up where it was tried: "
            f"{number} {verb} for the next try"
        )
    return f"{platform} is not set up on this server: {number} {verb}"
