"""A certificate authority for tests, and TLS contexts that trust it."""

import datetime
import ipaddress
import ssl
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)
_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True)
class Identity:
    """A certificate and its key as PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """A CA in a directory of its own."""

    directory: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def ca_file(self) -> Path:
        return self.directory / "ca.pem"

    def issue(self, name: str, *, days: int = 30) -> Identity:
        """A certificate for `name` at localhost, good for servers and clients.

        With a negative number of days it has expired.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName("localhost"), x509.DNSName(name)]
        addresses = [
            x509.IPAddress(ipaddress.ip_address(loopback))
            for loopback in ("127.0.0.1", "::1")
        ]
        certificate = (
            _builder(name, self.certificate.subject, key, self.key, days)
            .add_extension(x509.SubjectAlternativeName([*names, *addresses]), False)
            .sign(self.key, hashes.SHA256())
        )
        identity = Identity(
            self.directory / f"{name}.pem", self.directory / f"{name}.key"
        )
        identity.certificate.write_bytes(_pem(certificate))
        identity.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return identity


def make_authority() -> Authority:
    """A new CA, which nobody trusts yet."""
    directory = Path(tempfile.mkdtemp(prefix="ca-"))
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a CA of the tests")])
    certificate = (
        _builder("a CA of the tests", subject, key, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_SIGNS_CERTIFICATES, critical=True)
        .sign(key, hashes.SHA256())
    )
    (directory / "ca.pem").write_bytes(_pem(certificate))
    return Authority(directory, certificate, key)


@cache
def authority() -> Authority:
    """The CA all tests of a run share."""
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


def _builder(
    name: str,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    days: int = 30,
) -> x509.CertificateBuilder:
    # From Python 3.13 a chain without key identifiers is refused.
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 10 * _DAY)
        .not_valid_after(now + days * _DAY)
        .add_extension(issuer_id(issuer_key.public_key()), critical=False)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False
        )
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
