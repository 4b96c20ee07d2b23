"""The token of an email device: a mail address."""

import re

LONGEST = 254
LONGEST_LOCAL_PART = 64

# A dot-atom (RFC 5322 §3.2.3). Quoted local parts are valid, but almost unused, and
# they allow injections into headers and commands.
_is_local_part = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
).fullmatch
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# The last label must not be a number: user@127.0.0.1 is no address.
_is_domain = re.compile(rf"({_LABEL}\.)+(?=[A-Za-z0-9-]*[A-Za-z]){_LABEL}").fullmatch


def parse(token: str) -> str:
    """The address with its domain in lower case.

    Raises ValueError with a sentence that says what is wrong.
    """
    if not token.isascii():
        raise ValueError(
            "a mail address must be ASCII; write the domain in its xn-- form"
        )
    local_part, at, domain = token.rpartition("@")
    if not at or "@" in local_part:
        raise ValueError("a mail address must look like name@example.org")
    if len(token) > LONGEST or len(local_part) > LONGEST_LOCAL_PART:
        raise ValueError(
            f"a mail address has at most {LONGEST} characters, "
            f"{LONGEST_LOCAL_PART} of them before the @"
        )
    if not _is_local_part(local_part):
        raise ValueError("the part before the @ of the mail address is not valid")
    if not _is_domain(domain):
        raise ValueError("the domain of the mail address is not valid")
    return f"{local_part}@{domain.lower()}"
