"""Devices that always fail hold up themselves, and nobody else on their route.

The whole engine with the real channels, and providers that respond over HTTP/2.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import func, select

import config
from config import Settings
from datastore import Datastore, provider_troubles
from models.pushes import COMPLETED, PushFailure, PushJob
from notifier.channels.webpush import push_services
from notifier.engine import loop
from tests.support import chats, databases, push_service, sandbox, tls
from tests.support.push_service import Browser, PushService
from tests.support.sandbox import Sandbox
from tests.support.wait import eventually

# Far less than the pause of a route that is shut for refused credentials.
SOON_S = 20.0
# More than the errors that shut a route.
MESSAGES = 22
# While the engine learns that a device is suspect; the route may be blamed meanwhile.
MOST_TRIES = 12
STATUSES = (400, 401, 403, 404, 429, 500, 502, 503)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Datastore]:
    with databases.fresh("sqlite", tmp_path) as store:
        yield store


@pytest.fixture(scope="module")
def providers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox.running(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


def settings_of(run_dir: Path, **more: str) -> Settings:
    return config.from_env(
        {
            "BOTTLEPOST_RUN_DIR": str(run_dir),
            "BOTTLEPOST_SERVICE_KEY": "k" * 16,
            "BOTTLEPOST_DATABASE_URL": databases.fresh_url("sqlite", run_dir),
            **more,
        }
    )


def browsers_settings(run_dir: Path) -> Settings:
    return settings_of(
        run_dir,
        BOTTLEPOST_CA_FILE=str(tls.authority().ca_file),
        BOTTLEPOST_VAPID_SUBJECT="mailto:ops@example.org",
        BOTTLEPOST_WEBPUSH_ALLOW="localhost",
    )


class Working:
    """A running engine, and the conversations that it pushes to."""

    def __init__(self, store: Datastore, platform: str) -> None:
        self.store = store
        self.platform = platform
        self.wake = asyncio.Event()

    def chat(self, token: str) -> int:
        """A conversation of a sender and one other member."""
        return chats.make_chat(self.store, 1, platforms=[self.platform], tokens=[token])

    def post(self, chats_: Sequence[int], times: int = 1) -> list[int]:
        jobs = [chats.post(self.store, chat) for _ in range(times) for chat in chats_]
        self.wake.set()
        return jobs

    async def until_tried(self, jobs: Sequence[int]) -> None:
        """Wait until each job has failed once, or has ended."""
        await eventually(lambda: self._tried(jobs) == len(jobs), 60)

    def _tried(self, jobs: Sequence[int]) -> int:
        failed = select(PushFailure.job_id).where(PushFailure.job_id.in_(jobs))
        with self.store.read() as session:
            return (
                session.scalar(
                    select(func.count()).where(
                        PushJob.id.in_(jobs),
                        PushJob.id.in_(failed) | PushJob.finished_at.is_not(None),
                    )
                )
                or 0
            )

    async def until_pushed_at_once(self, jobs: Sequence[int]) -> None:
        """Every device accepts at the first try, and soon."""
        await eventually(lambda: self._completed(jobs) == len(jobs), SOON_S)
        with self.store.read() as session:
            claims = session.scalars(
                select(PushJob.attempts).where(PushJob.id.in_(jobs))
            )
            assert set(claims) == {1}

    def _completed(self, jobs: Sequence[int]) -> int:
        with self.store.read() as session:
            return (
                session.scalar(
                    select(func.count()).where(
                        PushJob.id.in_(jobs),
                        PushJob.state == COMPLETED,
                        PushJob.accepted == 1,
                    )
                )
                or 0
            )

    def troubles(self) -> list[str]:
        with self.store.read() as session:
            return [row.route for row in provider_troubles.find_all(session)]


@asynccontextmanager
async def working(
    settings: Settings, store: Datastore, platform: str
) -> AsyncIterator[Working]:
    engine = loop.build(settings, owner="in the test")
    system = Working(store, platform)
    task = asyncio.create_task(engine.run(linger_s=None, wake=system.wake))
    try:
        yield system
    finally:
        engine.stop()
        await task


async def push_beside_each_other(
    system: Working, bad: Sequence[str], good: Sequence[str]
) -> None:
    """Post to the bad ones again and again, and now and then to a good one."""
    bad_chats = [system.chat(token) for token in bad]
    good_chats = [system.chat(token) for token in good]
    times = MESSAGES // len(bad) + 1
    for chat in good_chats:
        await system.until_tried(system.post(bad_chats, times))
        await system.until_pushed_at_once(system.post([chat]))
        times = 2
    await system.until_pushed_at_once(system.post(good_chats))
    assert system.troubles() == []


@pytest.fixture
async def browsers(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PushService]:
    """A push service that counts as one of the browsers'."""
    monkeypatch.setattr(push_services, "KNOWN_HOSTS", ("localhost",))
    monkeypatch.setattr(push_services, "REQUEST_TIMEOUT_S", 0.3)
    async with push_service.run() as service:
        yield service


@pytest.mark.parametrize(
    ("manner", "count"),
    [*product((*STATUSES, "hang", "reset"), [1]), *product((403, 500, "reset"), [4])],
)
async def test_bad_subscriptions_hold_up_nobody_else_of_their_service(
    store: Datastore,
    tmp_path: Path,
    browsers: PushService,
    manner: int | str,
    count: int,
) -> None:
    bad = [browsers.subscribe() for _ in range(count)]
    for browser in bad:
        misbehave(browsers, browser, manner)
    good = [browsers.subscribe() for _ in range(3)]

    async with working(browsers_settings(tmp_path), store, "webpush") as system:
        await push_beside_each_other(
            system, [each.token for each in bad], [each.token for each in good]
        )

    paths = [each.endpoint.removeprefix(browsers.origin) for each in bad]
    tries = max(map(browsers.seen.count, paths))
    if manner == 404:
        # It is disabled after the first ones, which may all be on their way by then.
        assert tries <= MESSAGES + 1
    elif manner not in (400, 429):
        # It is suspect, and tried more and more rarely.
        assert tries <= MOST_TRIES


def misbehave(service: PushService, browser: Browser, manner: int | str) -> None:
    if manner == "hang":
        service.hang(browser)
    elif manner == "reset":
        service.reset(browser)
    else:
        service.tell(browser, int(manner))


@pytest.mark.parametrize("platform", ["apns", "fcm"])
@pytest.mark.parametrize(
    ("manner", "count"),
    [("answer-401", 1), ("answer-403", 4), ("answer-500", 4), ("reset", 4)],
)
async def test_bad_phones_hold_up_nobody_else_of_their_provider(
    store: Datastore,
    tmp_path: Path,
    providers: Sandbox,
    manner: str,
    count: int,
    platform: str,
) -> None:
    settings = settings_of(tmp_path, **providers.environment)
    async with working(settings, store, platform) as system:
        await push_beside_each_other(
            system, [f"{manner}-{n}" for n in range(count)], ["aa", "ab", "ac"]
        )
