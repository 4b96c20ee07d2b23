"""Which channels the registry creates from the settings."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from api.schemas import accounts
from config import Settings
from notifier.channels import Channel, registry
from notifier.channels.misconfigured import Misconfigured
from tests.support.fake_provider import FakeTokens, RecordedTroubles
from tests.support.notifications import Reports, make_notification, make_target


def settings(tmp_path: Path, **changes: Any) -> Settings:
    return Settings(
        database_url="sqlite://",
        run_dir=tmp_path,
        service_key="k" * 16,
        push_slots=1,
        **changes,
    )


def broken(tmp_path: Path) -> Settings:
    """Both providers are configured, with files that hold nonsense."""
    path = tmp_path / "nonsense"
    path.write_text("nonsense")
    return settings(
        tmp_path,
        apns_key_file=path,
        apns_key_id="KEY1234567",
        apns_team_id="TEAM123456",
        apns_topic="org.example.harbour",
        fcm_credentials_file=path,
    )


def refusal(channel: Channel) -> str:
    """Why it cannot push."""
    reports = Reports()
    asyncio.run(channel.send(None, [make_target()], reports))
    assert reports.kinds() == ["credentials"]
    return reports.by_device[1].reason


def test_without_credentials_there_are_no_channels(tmp_path: Path) -> None:
    assert registry.create(settings(tmp_path), FakeTokens(), RecordedTroubles()) == {}


@pytest.mark.parametrize(
    "incomplete",
    [{"apns_topic": "org.example"}, {"smtp_url": "smtp://localhost"}],
    ids=["no key", "no sender"],
)
def test_incomplete_settings_create_no_channel(
    tmp_path: Path, incomplete: dict[str, str]
) -> None:
    incomplete_settings = settings(tmp_path, **incomplete)

    created = registry.create(incomplete_settings, FakeTokens(), RecordedTroubles())

    assert created == {}


@pytest.mark.parametrize("platform", ["apns", "fcm"])
def test_unreadable_credentials_keep_the_devices_and_are_told_once(
    tmp_path: Path, platform: str, caplog: pytest.LogCaptureFixture
) -> None:
    troubles, reports = RecordedTroubles(), Reports()
    channel = registry.create(broken(tmp_path), FakeTokens(), troubles)[platform]
    rendered = channel.render(make_notification())

    for device in (1, 2):
        asyncio.run(channel.send(rendered, [make_target(device)], reports))

    assert isinstance(channel, Misconfigured)
    assert reports.kinds() == ["credentials", "credentials"]
    reason = reports.by_device[1].reason
    assert "nonsense" in reason
    assert troubles.reports == [(platform, reason)]
    assert len(caplog.records) == 1
    asyncio.run(channel.close())


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cert.pem"
    path.write_text("nonsense")
    by_certificate = settings(tmp_path, apns_cert_file=path, apns_topic="org.example")

    channel = registry.create(by_certificate, FakeTokens(), RecordedTroubles())["apns"]

    assert "cert.pem" in refusal(channel)


def test_a_file_that_is_no_private_authority_is_named(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("nonsense")
    account = {
        "apns_cert_file": ca_file,
        "apns_topic": "org.example",
        "vapid_subject": "mailto:ops@example.org",
        "smtp_url": "smtp://localhost",
        "smtp_from": "chat@harbour.example",
    }
    by_authority = settings(tmp_path, ca_file=ca_file, **account)

    created = registry.create(by_authority, FakeTokens(), RecordedTroubles())

    assert created.keys() == {"apns", "webpush", "email"}
    assert all("ca.pem" in refusal(channel) for channel in created.values())


def test_a_topic_that_fits_no_header_is_named(tmp_path: Path) -> None:
    by_certificate = settings(tmp_path, apns_cert_file=tmp_path, apns_topic="a b")

    channel = registry.create(by_certificate, FakeTokens(), RecordedTroubles())["apns"]

    assert "'a b'" in refusal(channel)


def test_a_channel_that_is_not_set_up_is_not_even_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from config import Settings;"
        "from notifier.channels import registry;"
        "registry.create(Settings(database_url='sqlite://', run_dir=Path(), "
        "service_key='k' * 16, push_slots=1), None, None);"
        "print([m for m in ('apns2', 'pyfcm', 'requests') if m in sys.modules])"
    )

    printed = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )

    assert printed.stdout.strip() == "[]"


@pytest.mark.parametrize("platform", registry.REGISTRY)
def test_the_setting_that_opens_a_channel_is_one_of_the_settings(
    tmp_path: Path, platform: str
) -> None:
    assert hasattr(settings(tmp_path), registry.REGISTRY[platform].setting)


def test_the_api_registers_and_checks_devices_of_every_channel() -> None:
    platforms = get_args(get_args(accounts.Platform)[0])

    assert set(platforms) == set(accounts.TOKENS) == set(registry.REGISTRY)
