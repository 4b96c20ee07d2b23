"""The token of an fcm device: Google's registration token, or the installation's id.

An app has one Firebase Installation ID (FID). The tokens of older apps begin with it,
and newer apps register the FID alone, so both name the same device.
"""

import re

FCM = "fcm"

# 17 bytes in base64url of which the first four bits are 0111.
FID_LENGTH = 22
is_fid = re.compile(r"[c-f][A-Za-z0-9_-]{21}").fullmatch
_begins_with_fid = re.compile(r"([c-f][A-Za-z0-9_-]{21}):APA91b").match


def installation(token: str) -> str | None:
    """The FID of a token, or the FID that it is; None if the token does not tell."""
    if is_fid(token):
        return token
    begin = _begins_with_fid(token)
    return begin[1] if begin else None
