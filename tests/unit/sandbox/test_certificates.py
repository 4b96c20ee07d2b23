"""Certificates of the sandbox's authority, in handshakes without a socket."""

import ssl
from datetime import timedelta
from pathlib import Path

import pytest

from sandbox.certificates import Authority


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create()


def shake_hands(
    tmp_path: Path, authority: Authority, server_pem: bytes, host: str
) -> None:
    """One TLS handshake in memory; raises SSLCertVerificationError."""
    pem_file = tmp_path / "server.pem"
    pem_file.write_bytes(server_pem)
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(pem_file)
    client_context = ssl.create_default_context(cadata=authority.ca_pem().decode())
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server, server_hostname=host)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "push.test"])
def test_server_is_trusted_at_all_its_names(
    tmp_path: Path, authority: Authority, host: str
) -> None:
    shake_hands(tmp_path, authority, authority.issue_server("push.test"), host)


def test_other_names_are_refused(tmp_path: Path, authority: Authority) -> None:
    server_pem = authority.issue_server("push.test")

    with pytest.raises(ssl.SSLCertVerificationError, match="not valid for"):
        shake_hands(tmp_path, authority, server_pem, "other.test")


def test_lifetime_under_an_hour_has_expired(
    tmp_path: Path, authority: Authority
) -> None:
    server_pem = authority.issue_server(lifetime=timedelta(minutes=30))

    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        shake_hands(tmp_path, authority, server_pem, "localhost")


def test_another_authority_is_not_trusted(tmp_path: Path, authority: Authority) -> None:
    server_pem = Authority.create().issue_server()

    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(tmp_path, authority, server_pem, "localhost")


def test_certificate_is_current_for_its_names_only(
    tmp_path: Path, authority: Authority
) -> None:
    path = tmp_path / "server.pem"
    path.write_bytes(authority.issue_server("push.test"))

    assert authority.is_current(path, "push.test")
    assert not authority.is_current(path, "other.test")
    assert not Authority.create().is_current(path)


def test_certificate_near_its_end_is_not_current(
    tmp_path: Path, authority: Authority
) -> None:
    path = tmp_path / "server.pem"
    path.write_bytes(authority.issue_server(lifetime=timedelta(days=29)))

    assert not authority.is_current(path)
