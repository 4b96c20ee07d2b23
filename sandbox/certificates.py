"""The sandbox's own certificate authority and what it signs."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFE = timedelta(days=3650)
CERTIFICATE_LIFE = timedelta(days=397)
# A certificate this close to its end is made anew at the start.
RENEW_BEFORE = timedelta(days=30)
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


class Authority:
    """Signs the sandbox's certificates; clients trust it through its file alone."""

    def __init__(
        self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ) -> None:
        self.certificate = certificate
        self.key = key

    def server(self, host: str) -> bytes:
        """Certificate and key, in PEM, for this computer and `host`."""
        names = x509.SubjectAlternativeName(_alternatives(host))
        subject = _name("Bottlepost sandbox")
        return self._sign(subject, ExtendedKeyUsageOID.SERVER_AUTH, names)

    def client(self, topic: str) -> bytes:
        """A provider's certificate, as Apple gives one for a topic, with its key."""
        # Apple carries the topic in the subject's user id.
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.USER_ID, topic),
                x509.NameAttribute(NameOID.COMMON_NAME, f"Push: {topic}"),
            ]
        )
        return self._sign(subject, ExtendedKeyUsageOID.CLIENT_AUTH, None)

    def _sign(
        self,
        subject: x509.Name,
        use: x509.ObjectIdentifier,
        names: x509.SubjectAlternativeName | None,
    ) -> bytes:
        key = ec.generate_private_key(ec.SECP256R1())
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key
        builder = (
            _started(subject, self.certificate.subject, key, CERTIFICATE_LIFE)
            .add_extension(x509.BasicConstraints(False, None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
            .add_extension(issuer_key(self.key.public_key()), critical=False)
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        signed = builder.sign(self.key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM) + pem(key)

    def still_good(self, path: Path, host: str | None = None) -> bool:
        """Whether a file made earlier is of this authority, valid, and names `host`."""
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
        return set(_alternatives(host)) <= set(names.value)


def make_authority() -> Authority:
    """A new authority, for this run directory only."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Bottlepost sandbox authority")
    use = x509.KeyUsage(
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
    certificate = (
        _started(name, name, key, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(True, 0), critical=True)
        .add_extension(use, critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key as PKCS #8, the form of Apple's .p8 files."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _started(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    life: timedelta,
) -> x509.CertificateBuilder:
    # An hour back: clocks of containers and their hosts differ.
    begin = datetime.now(UTC) - timedelta(hours=1)
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + life)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(public), critical=False
        )
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternatives(host: str) -> list[x509.GeneralName]:
    return [_general_name(name) for name in dict.fromkeys((*LOCAL_NAMES, host))]


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
