"""How APNs knows us: by provider tokens that we sign, or by a client certificate."""

import hashlib
import logging
import time
from datetime import datetime
from pathlib import Path

import jwt

from config import certificates, key_files
from models.base import utc_now
from notifier.channels import CredentialsRefused, MintedToken, Troubles
from notifier.channels.authorization import CertificateAuthorization

log = logging.getLogger(__name__)

# Apple accepts a token for an hour and no new one within 20 minutes. The datastore
# renews shared tokens five minutes before this lifetime ends.
LIFETIME_S = 50 * 60.0
# Where the dashboard shows a certificate that ends soon.
CERTIFICATE = "apns certificate"
_WARN_EVERY_S = 24 * 3600.0


class SigningKey:
    """The .p8 key of a team; signs provider tokens.

    apns2's TokenCredentials would do this too, but writes the time of issue as a
    fraction, which Apple refuses, and makes one token in each process.
    """

    def __init__(self, path: Path, *, key_id: str, team_id: str) -> None:
        pem = path.read_bytes()
        self._key = key_files.named(path, key_files.apns_key)
        self._key_id = key_id
        self._team_id = team_id
        # A new key with the same id must not get the tokens of the old one.
        digest = hashlib.sha256(pem).hexdigest()[:12]
        self.name = f"apns {team_id} {key_id} {digest}"

    async def mint(self) -> MintedToken:
        token = jwt.encode(
            {"iss": self._team_id, "iat": int(time.time())},
            self._key,
            algorithm="ES256",
            headers={"kid": self._key_id},
        )
        return MintedToken(token, LIFETIME_S)


class ClientCertificate(CertificateAuthorization):
    """A certificate that ends some day.

    An expired one is refused here, because Apple's TLS alert would look like an outage.
    """

    def __init__(self, path: Path, troubles: Troubles) -> None:
        self._end: datetime = certificates.end_of(path)
        self._troubles = troubles
        self._warn_at = time.monotonic()

    async def token(self) -> str | None:
        if utc_now() >= self._end:
            raise CredentialsRefused(certificates.expiry(self._end))
        return None

    async def warn(self) -> None:
        """Tell the operator once a day that it ends soon, and once that it does not."""
        now = time.monotonic()
        if now < self._warn_at:
            return
        self._warn_at = now + _WARN_EVERY_S
        notice = certificates.notice(self._end, utc_now())
        if notice is not None:
            log.warning("%s", notice)
        # One that has ended is the trouble of each route, too.
        await self._troubles.report(CERTIFICATE, notice)
