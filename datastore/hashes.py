"""The hash under which a token is stored and found."""

import hashlib


def sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
