"""APNs by certificate: what happens before it ends, and afterwards."""

import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

import config
import server
from notifier.channels.apns import credentials
from notifier.outcome import Kind
from tests.support import h2_peer, tls
from tests.support.channel_service import ChannelService
from tests.support.h2_peer import Peer
from tests.support.notifications import make_target

TOPIC = "org.example.chat"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def certificate(directory: Path, left: timedelta) -> Path:
    """A client's certificate that ends after this time, which may be negative."""
    path = directory / f"certificate-{left.total_seconds():.0f}.pem"
    # A lifetime begins an hour before the certificate is issued.
    lifetime = left + HOUR
    pem = tls.authority().authority.issue_client(TOPIC, lifetime=lifetime)
    path.write_bytes(pem)
    return path


class Apple(ChannelService):
    """APNs that wants a client certificate, and checks it."""

    platform = "apns"

    def __init__(self, peer: Peer, path: Path) -> None:
        self.peer = peer
        super().__init__(_settings(path, peer.url))

    async def push(self) -> str:
        (outcome,) = await self.outcomes([make_target(1, "aa01")])
        return f"{outcome.kind} {outcome.reason}".strip()


def _settings(path: Path, url: str = "https://localhost:1") -> config.Settings:
    return config.from_env(
        {
            "BOTTLEPOST_RUN_DIR": str(path.parent),
            "BOTTLEPOST_SERVICE_KEY": "k" * 16,
            "BOTTLEPOST_CA_FILE": str(tls.authority().ca_file),
            "BOTTLEPOST_APNS_URL": url,
            "BOTTLEPOST_APNS_CERT_FILE": str(path),
            "BOTTLEPOST_APNS_TOPIC": TOPIC,
        }
    )


@asynccontextmanager
async def _apple(path: Path) -> AsyncIterator[Apple]:
    context = tls.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(tls.authority().ca_file)
    async with h2_peer.serve(Peer(), context) as peer:
        apple = Apple(peer, path)
        try:
            yield apple
        finally:
            await apple.aclose()


async def test_an_expired_certificate_is_trouble_and_no_outage(tmp_path: Path) -> None:
    async with _apple(certificate(tmp_path, -HOUR / 2)) as apple:
        outcome = await apple.push()

    assert outcome.startswith(f"{Kind.CREDENTIALS} ")
    assert "the client certificate for APNs has expired, on 20" in outcome
    standing = apple.troubles.standing()
    assert standing.keys() == {f"apns production {TOPIC}", "apns certificate"}
    assert all("has expired, on 20" in why for why in standing.values())
    assert apple.peer.connections == []


async def test_a_certificate_that_ends_soon_is_used_and_announced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with _apple(certificate(tmp_path, 29 * DAY)) as apple:
        outcomes = [await apple.push() for _ in range(3)]

    assert outcomes == ["accepted"] * 3
    (told,) = apple.troubles.reasons()
    assert "expires on 20" in told
    assert apple.troubles.standing().keys() == {"apns certificate"}
    warnings = [r for r in caplog.records if r.name == credentials.log.name]
    assert [r.levelno for r in warnings] == [logging.WARNING]


async def test_a_renewed_certificate_ends_the_announcement(tmp_path: Path) -> None:
    async with _apple(certificate(tmp_path, 31 * DAY)) as apple:
        await apple.troubles.report("apns certificate", "expires on Monday")

        outcome = await apple.push()

    assert outcome == "accepted"
    assert apple.troubles.standing() == {}


async def test_a_certificate_may_end_while_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = credentials.utc_now
    async with _apple(certificate(tmp_path, 40 * DAY)) as apple:
        first = await apple.push()
        monkeypatch.setattr(credentials, "utc_now", lambda: now() + 50 * DAY)
        second = await apple.push()

    assert first == "accepted"
    assert second.startswith(f"{Kind.CREDENTIALS} ")


@pytest.mark.parametrize(
    ("left", "words"),
    [(-HOUR / 2, "has expired, on 20"), (3 * DAY, "expires on 20"), (90 * DAY, "")],
    ids=["expired", "soon", "later"],
)
def test_the_start_of_the_server_tells_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, left: timedelta, words: str
) -> None:
    server._check_keys(_settings(certificate(tmp_path, left)))

    told = [record.getMessage() for record in caplog.records]
    assert len(told) == bool(words)
    assert all("BOTTLEPOST_APNS_CERT_FILE" in text and words in text for text in told)
