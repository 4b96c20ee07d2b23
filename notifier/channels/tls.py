"""Whom we believe to be a provider's server, and what we show it of ourselves."""

import ssl
from pathlib import Path


def client_context(
    ca_file: Path | None, *, cert_file: Path | None = None, is_alone: bool = True
) -> ssl.SSLContext:
    """TLS for HTTP/2; a private authority, if given, is the only one believed.

    Unless it is not to be alone: then the public ones are believed beside it. Raises
    ValueError naming the file that cannot be used.
    """
    try:
        tls = ssl.create_default_context(cafile=ca_file)
    except (ssl.SSLError, OSError) as problem:
        raise ValueError(f"{ca_file} holds no usable certificates") from problem
    if not is_alone:
        tls.load_default_certs()
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    tls.set_alpn_protocols(["h2"])
    if cert_file is not None:
        try:
            # No terminal to ask at: an encrypted key is an error, not a prompt.
            tls.load_cert_chain(cert_file, password="")
        except (ssl.SSLError, OSError) as problem:
            raise ValueError(f"{cert_file} holds no usable certificate") from problem
    return tls
