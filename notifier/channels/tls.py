"""TLS contexts: which authorities we trust, and the certificate we present."""

import ssl
from pathlib import Path

from config import key_files


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """A client's context that trusts the authority in the file, or the public ones.

    Raises ValueError naming a file that cannot be used.
    """
    if ca_file is not None:
        key_files.named(ca_file, key_files.authorities)
    return ssl.create_default_context(cafile=ca_file)


def http2_context(
    ca_file: Path | None,
    *,
    cert_file: Path | None = None,
    with_public_authorities: bool = False,
) -> ssl.SSLContext:
    """The same for HTTP/2; it may trust the public authorities beside a private one.

    Raises ValueError naming a file that cannot be used.
    """
    tls = trusting(ca_file)
    if with_public_authorities:
        tls.load_default_certs()
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    tls.set_alpn_protocols(["h2"])
    if cert_file is not None:
        key_files.named(cert_file, key_files.client_certificate)
        try:
            # There is no terminal: an encrypted key must be an error, not a prompt.
            tls.load_cert_chain(cert_file, password="")
        except (ssl.SSLError, OSError) as problem:
            raise ValueError(f"{cert_file} holds no usable certificate") from problem
    return tls
