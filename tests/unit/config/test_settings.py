"""Settings from the environment; a refusal names the variable."""

import os
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from config import Settings, SettingsError

KEY = "a service key of good length"
Read = Callable[..., Settings]


def test_the_service_key_is_all_that_is_needed(read: Read, tmp_path: Path) -> None:
    settings = read()

    assert settings.database_url == f"sqlite:///{tmp_path}/run/bottlepost.db"
    assert (settings.dispatcher, settings.port) == ("process", 8080)


def test_the_service_key_is_never_shown(read: Read) -> None:
    settings = read(SERVICE_KEY=KEY)

    assert settings.service_key == KEY
    assert KEY not in repr(settings)


def test_the_proxys_password_is_never_shown(read: Read) -> None:
    settings = read(PUSH_PROXY="http://me:secret@proxy:3128")

    assert settings.push_proxy == "http://me:secret@proxy:3128"
    assert "secret" not in repr(settings)


def test_the_run_directory_is_for_its_owner_only(read: Read) -> None:
    assert read().run_dir.stat().st_mode & 0o777 == 0o700


def test_secret_can_come_from_a_file(read: Read, tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("a key out of a file\n")

    settings = read(SERVICE_KEY="", SERVICE_KEY_FILE=str(secret))

    assert settings.service_key == "a key out of a file"


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("SERVICE_KEY", "", "is missing: make one with"),
        ("SERVICE_KEY", "short", "is too short"),
        ("SERVICE_KEY_OLD", "short", "is too short"),
        ("SERVICE_KEY", "\ufeff" + "k" * 16, "no header can have"),
        ("SERVICE_KEY", "two lines\nof a file", "no header can have"),
        ("SERVICE_KEY_OLD", "schl\u00fcssel" * 2, "no header can have"),
        ("SERVICE_KEY_OLD", "k" * 16, "is the same as BOTTLEPOST_SERVICE_KEY"),
        ("PORT", "eighty", "must be a whole number"),
        ("PORT", "0", "must be from 1 to 65535"),
        ("PORT", "65536", "must be from 1 to 65535"),
        ("WORKERS", "0", "must be from 1"),
        ("PUSH_LINGER_S", "-1", "must be from 0"),
        ("PUSH_LINGER_S", "nan", "must be from 0"),
        ("PUSH_LINGER_S", "inf", "must be from 0"),
        ("PUSH_LINGER_S", "soon", "must be a number of seconds"),
        ("CPU_FIRST", "pushes", "must be one of both, answers"),
        ("APNS_URL", "http://api.push.apple.com", "must look like https://"),
        ("FCM_URL", "https://", "must look like https://"),
        ("FCM_URL", "https://[", "must look like https://"),
        ("REDIS_URL", "redis://[", "must begin with redis://"),
        ("CA_FILE", "/nowhere/ca.pem", "cannot be read"),
        ("CA_FILE", "/", "is no file"),
        ("APNS_KEY_FILE", "/dev/zero", "is no file"),
        ("PUSH_PROXY", "https://proxy:3128", "must look like http://"),
        ("PUSH_PROXY", "http://me:secret@", "must look like http://"),
        ("PUSH_PROXY", "http://proxy:port", "must look like http://"),
        ("TRUSTED_PROXIES", "proxy.example", "must be addresses or networks"),
        ("TRUSTED_PROXIES", "127.0.0.1, 10.0.0.1/8", "must be addresses or networks"),
        ("TRUSTED_PROXIES", "0.0.0.0/0", "name your proxies only"),
        ("TRUSTED_PROXIES", "127.0.0.1, ::/0", "name your proxies only"),
        ("DISPATCHR", "process", "is not a setting"),
    ],
)
def test_wrong_value_names_its_variable(
    read: Read, name: str, value: str, problem: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read(**{name: value})

    assert caught.value.variable == f"BOTTLEPOST_{name}"
    assert problem in str(caught.value)


def test_a_pipe_is_no_file_of_a_key(read: Read, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(SettingsError, match="is no file"):
        read(VAPID_KEY_FILE=str(tmp_path / "pipe"))


def test_proxies_are_addresses_and_networks(read: Read) -> None:
    assert read().trusted_proxies == ()

    settings = read(TRUSTED_PROXIES="127.0.0.1, ::1,10.0.0.0/8, unix,")

    assert settings.trusted_proxies == ("127.0.0.1/32", "::1/128", "10.0.0.0/8", "unix")


def test_incomplete_apns_credentials_are_refused(read: Read) -> None:
    with pytest.raises(SettingsError, match="BOTTLEPOST_APNS_KEY_FILE is missing"):
        read(APNS_KEY_ID="ABC", APNS_TEAM_ID="DEF")


def test_apns_needs_a_topic(read: Read, tmp_path: Path) -> None:
    cert = tmp_path / "cert.pem"
    cert.write_text("certificate")

    with pytest.raises(SettingsError, match="BOTTLEPOST_APNS_TOPIC is missing"):
        read(APNS_CERT_FILE=str(cert))


def test_key_and_certificate_exclude_each_other(read: Read, tmp_path: Path) -> None:
    file = tmp_path / "file.pem"
    file.write_text("anything")

    with pytest.raises(SettingsError, match="BOTTLEPOST_APNS_CERT_FILE"):
        read(
            APNS_CERT_FILE=str(file),
            APNS_KEY_FILE=str(file),
            APNS_KEY_ID="ABC",
            APNS_TEAM_ID="DEF",
            APNS_TOPIC="org.example",
        )


def test_value_given_twice_is_refused(read: Read, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY)

    with pytest.raises(SettingsError, match="both set"):
        read(SERVICE_KEY=KEY, SERVICE_KEY_FILE=str(file))


def test_refused_secret_is_not_shown(read: Read) -> None:
    with pytest.raises(SettingsError) as caught:
        read(SERVICE_KEY="-".join(("too", "short")))

    shown = "".join(traceback.format_exception(caught.value))
    assert "is too short" in shown
    assert "too-short" not in shown


def test_settings_can_be_sent_to_another_process(read: Read) -> None:
    settings = read(WEBPUSH_ALLOW="ntfy.home")

    assert pickle.loads(pickle.dumps(settings)) == settings


def test_variables_of_the_sandbox_are_allowed(read: Read) -> None:
    assert read(SANDBOX_PORT="9443").port == 8080


@pytest.mark.parametrize("name", ["VAPID_SUBJECT", "SMTP_UNSUBSCRIBE"])
@pytest.mark.parametrize(
    "value", ["me@example.org", "http://example.org", "https://a>b"]
)
def test_contact_is_a_mail_address_or_a_page(read: Read, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match="must look like mailto:"):
        read(**{name: value})


@pytest.mark.parametrize(
    "value",
    [
        "mailto:me@localhost",
        "mailto:me@mail.local",
        "mailto:me@mail.INVALID",
        "mailto:me@host",
        "https://localhost/contact",
        "https://push.local:8443/",
        "https://a.localhost.",
    ],
)
def test_the_vapid_subject_is_at_a_public_name(read: Read, value: str) -> None:
    with pytest.raises(SettingsError, match="public host name"):
        read(VAPID_SUBJECT=value)

    assert read(SMTP_UNSUBSCRIBE=value).smtp_unsubscribe == value


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("https://chat.example.org", "https://chat.example.org"),
        ("https://chat.example.org:8443/", "https://chat.example.org:8443"),
        ("https://example.org/a/chat/", "https://example.org/a/chat"),
        ("https://[2001:db8::1]/chat", "https://[2001:db8::1]/chat"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://localhost", "http://localhost"),
    ],
)
def test_public_address_may_have_a_path(read: Read, value: str, url: str) -> None:
    assert read(PUBLIC_URL=value).public_url == url


@pytest.mark.parametrize(
    "value",
    [
        "chat.example.org",
        "ftp://chat.example.org",
        "https://",
        "https://user:secret@example.org",
        "https://example.org/?a=b",
        "https://example.org?",
        "https://example.org/#top",
        "https://example.org/a b",
        "https://example.org/a>b",
        "https://example.org/a,b",
        "https://example.org//evil.example",
        "https://example.org/ä",
        "https://example.org:0",
        "https://example.org:99999",
        "https://[::1",
        "https://example.org/" + "a" * 400,
        "http://chat.example.org",
        "http://192.0.2.1",
        "http://localhost.example.org",
    ],
)
def test_public_address_is_a_plain_one_with_tls(read: Read, value: str) -> None:
    with pytest.raises(SettingsError, match="BOTTLEPOST_PUBLIC_URL must") as refused:
        read(PUBLIC_URL=value)

    assert refused.value.variable == "BOTTLEPOST_PUBLIC_URL"


@pytest.mark.parametrize(
    ("value", "origins"),
    [
        ("*", ("*",)),
        ("https://App.example.org", ("https://app.example.org",)),
        (
            "https://a.example.org:443, http://localhost:5173,",
            ("https://a.example.org", "http://localhost:5173"),
        ),
        ("capacitor://localhost", ("capacitor://localhost",)),
        ("http://[::1]:80", ("http://[::1]",)),
    ],
)
def test_origins_are_as_browsers_send_them(
    read: Read, value: str, origins: tuple[str, ...]
) -> None:
    assert read(CORS_ORIGINS=value).cors_origins == origins


@pytest.mark.parametrize(
    "value",
    [
        "app.example.org",
        "https://app.example.org/",
        "https://app.example.org/path",
        "https://*.example.org",
        "*, https://app.example.org",
        "https://user@app.example.org",
        "https://app.example.org:0",
        "https://app.example.org:70000",
        "https://ä.example.org",
        "null",
        "https://",
        "https://a.example.org\r\nX: y",
    ],
)
def test_what_is_no_origin_stops_the_start(read: Read, value: str) -> None:
    with pytest.raises(SettingsError, match="BOTTLEPOST_CORS_ORIGINS"):
        read(CORS_ORIGINS=value)


@pytest.mark.parametrize("name", ["mail.example.org", "[192.0.2.1]", "a.b.Example"])
def test_the_name_of_the_greeting_is_a_full_one(read: Read, name: str) -> None:
    assert read(SMTP_EHLO=name).smtp_ehlo == name


@pytest.mark.parametrize("name", ["mail", "a b.org", "-.org", "a.b\r\nx", "192.0.2.1"])
def test_a_short_name_of_the_greeting_is_refused(read: Read, name: str) -> None:
    with pytest.raises(SettingsError, match="full host name"):
        read(SMTP_EHLO=name)


def test_allowed_push_services_are_a_list(read: Read) -> None:
    settings = read(WEBPUSH_ALLOW="Ntfy.home , [fd00::1]:8443,10.0.0.5:443")

    assert settings.webpush_allow == ("ntfy.home", "[fd00::1]:8443", "10.0.0.5:443")


@pytest.mark.parametrize("value", ["https://ntfy.home", "a b", "ntfy.home/x", "*"])
def test_allowed_push_service_is_a_host(read: Read, value: str) -> None:
    with pytest.raises(SettingsError, match="host or host:port"):
        read(WEBPUSH_ALLOW=value)


@pytest.mark.parametrize(
    "database_url",
    [
        "postgresql+psycopg://db/bottlepost?pooler=session",
        "postgresql+psycopg://db/bottlepost?pooler=transaction&pooler=x",
        "sqlite:///bottlepost.db?pooler=transaction",
    ],
)
def test_a_pooler_works_by_transaction_and_for_postgresql(
    read: Read, database_url: str
) -> None:
    with pytest.raises(SettingsError, match=r"^BOTTLEPOST_DATABASE_URL .*pooler"):
        read(DATABASE_URL=database_url)


def test_the_only_pooler_is_taken(read: Read) -> None:
    url = "postgresql+psycopg://db/bottlepost?pooler=transaction"

    assert read(DATABASE_URL=url).database_url == url
