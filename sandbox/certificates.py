"""The sandbox's own certificate authority."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFETIME = timedelta(days=3650)
CERTIFICATE_LIFETIME = timedelta(days=397)
# A start replaces a certificate that expires within this time.
RENEW_BEFORE = timedelta(days=30)
# Certificates are valid from an hour ago on, because clocks differ.
BACKDATED = timedelta(hours=1)
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=True,
    key_cert_sign=True,
    crl_sign=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


class Authority:
    """Issues certificates; a client trusts them if it has `ca_pem()`."""

    def __init__(
        self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ) -> None:
        self.certificate = certificate
        self.key = key

    @classmethod
    def create(cls, name: str = "Bottlepost sandbox authority") -> "Authority":
        """Make a new authority with a key of its own."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _common_name(name)
        certificate = (
            _builder(subject, subject, key, AUTHORITY_LIFETIME)
            .add_extension(x509.BasicConstraints(True, 0), critical=True)
            .add_extension(_SIGNS_CERTIFICATES, critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    def ca_pem(self) -> bytes:
        """The authority's own certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue_server(
        self, *names: str, lifetime: timedelta = CERTIFICATE_LIFETIME
    ) -> bytes:
        """A certificate and key for localhost and these names or IP addresses.

        The lifetime starts an hour ago, so a shorter one makes an expired certificate.
        """
        alternatives = x509.SubjectAlternativeName(_alternative_names(names))
        subject = _common_name("Bottlepost sandbox")
        usage = ExtendedKeyUsageOID.SERVER_AUTH
        return self._issue(subject, usage, alternatives, lifetime)

    def issue_client(
        self, topic: str, *, lifetime: timedelta = CERTIFICATE_LIFETIME
    ) -> bytes:
        """A certificate and key of a provider for a topic, as Apple issues it."""
        # Apple's certificates have the topic in the subject's user id.
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.USER_ID, topic),
                x509.NameAttribute(NameOID.COMMON_NAME, f"Push: {topic}"),
            ]
        )
        usage = ExtendedKeyUsageOID.CLIENT_AUTH
        return self._issue(subject, usage, None, lifetime)

    def _issue(
        self,
        subject: x509.Name,
        usage: x509.ObjectIdentifier,
        alternatives: x509.SubjectAlternativeName | None,
        lifetime: timedelta,
    ) -> bytes:
        key = ec.generate_private_key(ec.SECP256R1())
        # From Python 3.13 on, a chain without key identifiers is refused.
        issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key
        builder = (
            _builder(subject, self.certificate.subject, key, lifetime)
            .add_extension(x509.BasicConstraints(False, None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(issuer_id(self.key.public_key()), critical=False)
        )
        if alternatives is not None:
            builder = builder.add_extension(alternatives, critical=False)
        signed = builder.sign(self.key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM) + pem(key)

    def is_current(self, path: Path, host: str | None = None) -> bool:
        """Whether a file has a valid certificate of this authority, for `host`."""
        if not path.exists():
            return False
        found = x509.load_pem_x509_certificate(path.read_bytes())
        try:
            found.verify_directly_issued_by(self.certificate)
        except Exception:
            return False
        if found.not_valid_after_utc - datetime.now(UTC) < RENEW_BEFORE:
            return False
        if host is None:
            return True
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return set(_alternative_names((host,))) <= set(names.value)


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key in PKCS #8, the format of Apple's .p8 files."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    begin = datetime.now(UTC) - BACKDATED
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + lifetime)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(public), critical=False
        )
    )


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative_names(names: tuple[str, ...]) -> list[x509.GeneralName]:
    return [_general_name(name) for name in dict.fromkeys((*LOCAL_NAMES, *names))]


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
