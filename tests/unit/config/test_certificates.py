"""What the operator is told about the client certificate, by real certificates."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from config import certificates
from tests.support import tls

END = datetime(2030, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("days", [31, 400])
def test_nothing_is_said_weeks_ahead(days: int) -> None:
    assert certificates.notice(END, END - timedelta(days=days)) is None


@pytest.mark.parametrize("ahead", [timedelta(days=30), timedelta(seconds=1)])
def test_a_certificate_that_ends_within_thirty_days_is_named(ahead: timedelta) -> None:
    told = certificates.notice(END, END - ahead)

    assert told is not None
    assert "expires on 2030-05-01 12:00 UTC" in told


@pytest.mark.parametrize("since", [timedelta(0), timedelta(days=900)])
def test_an_expired_certificate_is_named_with_its_end(since: timedelta) -> None:
    told = certificates.notice(END, END + since)

    assert told is not None
    assert "has expired, on 2030-05-01 12:00 UTC" in told


@pytest.mark.parametrize("key_first", [False, True])
def test_the_first_certificate_of_the_file_counts(
    tmp_path: Path, key_first: bool
) -> None:
    authority = tls.authority().authority
    pem = authority.issue_client("app", lifetime=timedelta(days=3))
    certificate, begin, key = pem.partition(tls.KEY_BEGIN)
    both = [certificate, begin + key]
    path = tmp_path / "client.pem"
    path.write_bytes(b"".join(both[::-1] if key_first else both) + authority.ca_pem())

    end = certificates.end_of(path)

    # Its lifetime began an hour ago.
    left = end - datetime.now(UTC)
    assert timedelta(days=2, hours=22) < left < timedelta(days=3)


@pytest.mark.parametrize("content", [None, b"", b"no PEM", b"-----BEGIN CERTIFICATE--"])
def test_a_file_without_a_certificate_is_named(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "client.pem"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ValueError, match=r"client\.pem holds no readable certificate"):
        certificates.end_of(path)
