"""The token of an apns device: bytes, which apps write in hexadecimal digits."""

import re

APNS = "apns"

# Of any length, because Apple fixes none.
_is_hexadecimal = re.compile(r"(?:[0-9A-Fa-f]{2})+").fullmatch


def normalise(platform: str, token: str) -> str:
    """The form that is stored: Apple takes hexadecimal digits in either case."""
    return token.lower() if platform == APNS and _is_hexadecimal(token) else token


def spellings(platform: str, token: str) -> tuple[str, ...]:
    """The form that is stored, and what older versions may have stored.

    Apps write all digits in one case, so others are not guessed.
    """
    normalised = normalise(platform, token)
    if platform != APNS or not _is_hexadecimal(token):
        return (token,)
    shouted = normalised.upper()
    return (normalised,) if shouted == normalised else (normalised, shouted)
