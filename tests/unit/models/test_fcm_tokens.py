"""Google's tokens: a token of an installation tells its id."""

import pytest

from models import fcm_tokens

FID = "cXf3_h-0QzWm1a2b3c4d5e"


@pytest.mark.parametrize("first", "cdef")
def test_token_and_id_of_an_installation_tell_the_id(first: str) -> None:
    fid = first + FID[1:]

    assert fcm_tokens.installation(fid) == fid
    assert fcm_tokens.installation(f"{fid}:APA91bH_x-1") == fid


@pytest.mark.parametrize(
    "token",
    [
        "b" + FID[1:],
        FID[:-1],
        FID + "x",
        FID + "\n",
        FID[:-1] + "+",
        # Of Google's older instance ids, which have eleven characters.
        "cXf3_h-0QzW:APA91bH_x-1",
        f"{FID}:other",
        f"x{FID}:APA91bH",
        "",
    ],
)
def test_other_tokens_tell_none(token: str) -> None:
    assert fcm_tokens.installation(token) is None
