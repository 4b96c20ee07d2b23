"""A certificate authority for tests, its files, and TLS contexts that trust it."""

import ssl
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path

from sandbox.certificates import Authority

KEY_BEGIN = b"-----BEGIN PRIVATE KEY-----"


@dataclass(frozen=True)
class Identity:
    """A certificate and its key as PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class AuthorityFiles:
    """An authority like the sandbox's, with its files in a directory of its own."""

    directory: Path
    authority: Authority

    @property
    def ca_file(self) -> Path:
        return self.directory / "ca.pem"

    def issue(self, name: str) -> Identity:
        """A server's certificate for `name` and localhost."""
        return self._write(name, self.authority.issue_server(name))

    def issue_expired(self, name: str) -> Identity:
        # A lifetime begins an hour before the certificate is issued.
        lifetime = timedelta(minutes=30)
        return self._write(name, self.authority.issue_server(name, lifetime=lifetime))

    def issue_for_client(self, name: str) -> Identity:
        return self._write(name, self.authority.issue_client(name))

    def _write(self, name: str, pem: bytes) -> Identity:
        certificate, begin, key = pem.partition(KEY_BEGIN)
        identity = Identity(
            self.directory / f"{name}.pem", self.directory / f"{name}.key"
        )
        identity.certificate.write_bytes(certificate)
        identity.key.write_bytes(begin + key)
        return identity


def make_authority() -> AuthorityFiles:
    """A new authority, which nothing trusts yet."""
    made = Authority.create()
    files = AuthorityFiles(Path(tempfile.mkdtemp(prefix="ca-")), made)
    files.ca_file.write_bytes(made.ca_pem())
    return files


@cache
def authority() -> AuthorityFiles:
    """The authority that all tests of a run share."""
    return make_authority()


@cache
def server_identity() -> Identity:
    return authority().issue("server.test")


def server_context(
    *, alpn: tuple[str, ...] = ("h2",), identity: Identity | None = None
) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    identity = identity or server_identity()
    context.load_cert_chain(identity.certificate, identity.key)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def client_context() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority().ca_file))
