"""Apple's tokens: hexadecimal digits are one token in either case."""

import pytest

from models import apns_tokens

PHONE, SIMULATOR = "aB" * 32, "0C" * 80


@pytest.mark.parametrize("token", [PHONE, SIMULATOR, "AB", "ab", "12"])
def test_hexadecimal_token_of_any_length_is_stored_in_lower_case(token: str) -> None:
    assert apns_tokens.normalise("apns", token) == token.lower()


@pytest.mark.parametrize(
    ("platform", "token"),
    [
        ("fcm", PHONE),
        ("webpush", PHONE),
        ("apns", "Phone-1"),
        ("apns", "ABC"),
        ("apns", PHONE + "\n"),
        ("apns", ""),
    ],
)
def test_other_tokens_stay_as_they_are(platform: str, token: str) -> None:
    assert apns_tokens.normalise(platform, token) == token
    assert apns_tokens.spellings(platform, token) == (token,)


def test_spellings_are_the_stored_form_and_what_older_versions_stored() -> None:
    assert apns_tokens.spellings("apns", "aB") == ("ab", "AB")
    assert apns_tokens.spellings("apns", "12") == ("12",)
