"""The settings of mail and web push, and the VAPID key that is created."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from config import Settings, SettingsError, smtp, vapid

Read = Callable[..., Settings]


# -- mail


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.org", ("mail.example.org", 587, "starttls", None, None)),
        ("smtps://mail.example.org", ("mail.example.org", 465, "tls", None, None)),
        (
            "smtp://me%40x.org:p%3Aw%2F@mail.example.org:2525",
            ("mail.example.org", 2525, "starttls", "me@x.org", "p:w/"),
        ),
        ("smtp://localhost:1025", ("localhost", 1025, "none", None, None)),
        ("smtp://127.0.0.1:25/", ("127.0.0.1", 25, "none", None, None)),
        ("smtp://[::1]:25", ("::1", 25, "none", None, None)),
        ("smtp://localhost?tls=starttls", ("localhost", 587, "starttls", None, None)),
        ("smtp://10.0.0.9:25?tls=none", ("10.0.0.9", 25, "none", None, None)),
    ],
)
def test_mail_server_uses_tls_unless_its_url_says_otherwise(
    url: str, server: tuple[object, ...]
) -> None:
    assert tuple(smtp.server(url)) == server


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("mail.example.org", "must look like"),
        ("http://mail.example.org", "must look like"),
        ("smtp://", "must look like"),
        ("smtp://mail.example.org:99999", "must look like"),
        ("smtp://mail.example.org/inbox", "must look like"),
        ("smtp://me@mail.example.org", "or neither"),
        ("smtp://mail.example.org?tls=maybe", "nothing else"),
        ("smtps://mail.example.org?tls=none", "always is TLS"),
        ("smtp://mail.example.org?timeout=3", "'timeout'"),
    ],
)
def test_invalid_smtp_url_names_its_variable(
    read: Read, url: str, problem: str
) -> None:
    with pytest.raises(SettingsError, match=problem) as refused:
        read(SMTP_URL=url, SMTP_FROM="chat@example.org")

    assert refused.value.variable == "BOTTLEPOST_SMTP_URL"


def test_the_password_is_never_shown(read: Read) -> None:
    url = "smtp://me:hunter2@mail.example.org"

    settings = read(SMTP_URL=url, SMTP_FROM="chat@example.org")

    assert settings.smtp_url == url
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("sender", "name", "address"),
    [
        ("chat@example.org", "", "chat@example.org"),
        ("Harbour Chat <chat@example.org>", "Harbour Chat", "chat@example.org"),
        ('"Hafen, groß" <chat@example.org>', "Hafen, groß", "chat@example.org"),
    ],
)
def test_sender_can_have_a_name(sender: str, name: str, address: str) -> None:
    found = smtp.sender(sender)

    assert (found.display_name, found.addr_spec) == (name, address)


@pytest.mark.parametrize(
    "sender",
    [
        "chat",
        "a@x.org, b@x.org",
        "Chat <chat>",
        "a@x.org\nBcc: b@x.org",
        "<>",
        "ä@x.org",
    ],
)
def test_invalid_sender_names_its_variable(read: Read, sender: str) -> None:
    with pytest.raises(SettingsError, match="must look like") as refused:
        read(SMTP_URL="smtp://localhost", SMTP_FROM=sender)

    assert refused.value.variable == "BOTTLEPOST_SMTP_FROM"


@pytest.mark.parametrize(
    ("given", "missing"), [("SMTP_URL", "SMTP_FROM"), ("SMTP_FROM", "SMTP_URL")]
)
def test_incomplete_mail_settings_are_refused(
    read: Read, given: str, missing: str
) -> None:
    values = {"SMTP_URL": "smtp://localhost", "SMTP_FROM": "chat@example.org"}

    with pytest.raises(SettingsError, match="is missing") as refused:
        read(**{given: values[given]})

    assert refused.value.variable == f"BOTTLEPOST_{missing}"


# -- web push


@pytest.mark.parametrize("name", ["VAPID_SUBJECT", "SMTP_UNSUBSCRIBE"])
@pytest.mark.parametrize(
    "value", ["me@example.org", "http://example.org", "https://a>b"]
)
def test_contact_is_a_mail_address_or_a_page(read: Read, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match="must look like mailto:"):
        read(**{name: value})


def test_allowed_push_services_are_a_list(read: Read) -> None:
    settings = read(WEBPUSH_ALLOW="Ntfy.home , [fd00::1]:8443,10.0.0.5:443")

    assert settings.webpush_allow == ("ntfy.home", "[fd00::1]:8443", "10.0.0.5:443")


@pytest.mark.parametrize("value", ["https://ntfy.home", "a b", "ntfy.home/x", "*"])
def test_allowed_push_service_is_a_host(read: Read, value: str) -> None:
    with pytest.raises(SettingsError, match="host or host:port"):
        read(WEBPUSH_ALLOW=value)


def test_vapid_key_is_created_once_and_private(read: Read) -> None:
    settings = read()

    first = vapid.public_key(settings)

    file = settings.run_dir / "vapid.pem"
    assert vapid.public_key(settings) == first
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in settings.run_dir.iterdir()] == ["vapid.pem"]


def _public_key(settings: Settings) -> str:
    return vapid.public_key(settings)


def test_processes_that_start_together_share_one_key(read: Read) -> None:
    settings = read()

    with multiprocessing.get_context("forkserver").Pool(4) as pool:
        keys = pool.map(_public_key, [settings] * 8, chunksize=1)

    assert len(set(keys)) == 1


def test_own_vapid_key_is_used(read: Read, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    file = tmp_path / "own.pem"
    file.write_bytes(_pem(key))

    settings = read(VAPID_KEY_FILE=str(file))

    assert vapid.public_key(settings) == vapid.encoded(key)
    assert not (settings.run_dir / "vapid.pem").exists()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"no key", "no usable private key"),
        (b"", "no usable private key"),
        ("rsa", "P-256"),
        ("p384", "P-256"),
    ],
)
def test_file_without_a_vapid_key_is_named(
    read: Read, tmp_path: Path, content: bytes | str, problem: str
) -> None:
    keys = {
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    }
    file = tmp_path / "own.pem"
    file.write_bytes(_pem(keys[content]()) if isinstance(content, str) else content)

    with pytest.raises(ValueError, match=problem) as refused:
        vapid.public_key(read(VAPID_KEY_FILE=str(file)))

    assert str(file) in str(refused.value)


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
