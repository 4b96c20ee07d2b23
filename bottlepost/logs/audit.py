"""Lines about what operators did: what, who, from where, and to what.

They are written at every level of the log. Nobody is named by a secret: the service key
and an operator's session have short fingerprints.
"""

import getpass
import logging
import os
from hashlib import sha256
from typing import Any

from bottlepost.logs import safe
from bottlepost.logs.lines import FIELDS

log = logging.getLogger("bottlepost.audit")


def record(action: str, *, who: str, client: str = "", **about: int | str) -> None:
    """Write the line of an action that has succeeded, or was refused."""
    # What a person has typed may be a mail address; JSON has it as a field.
    about = {
        name: safe.scrub(value) if isinstance(value, str) else value
        for name, value in about.items()
    }
    told = "".join(f" {name}={value}" for name, value in about.items())
    place = f" from {client}" if client else ""
    fields = {"action": action, "who": who, "client": client, **about}
    log.info("%s by %s%s%s", action, who, place, told, extra={FIELDS: fields})


def command(action: str, **about: Any) -> None:
    """Write the line of a command; its user is the operating system's."""
    record(action, who=f"command:{_user()}", client="", **about)


def fingerprint(secret: str) -> str:
    """Eight digits that tell one long random secret from another one."""
    return sha256(secret.encode()).hexdigest()[:8]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user may have no name.
        return str(os.getuid())
