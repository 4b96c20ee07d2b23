"""Tokens that end the mails to a device."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.service_key import ServiceKey
from models.unsubscribe import PURPOSE, TOKEN_LENGTH, UnsubscribeTokens

KEY = "a-service-key-of-the-tests"
TOKENS = UnsubscribeTokens.of_service_key(KEY)


@given(st.integers(min_value=1, max_value=2**63 - 1))
def test_token_names_its_device_and_fits_into_an_address(device_id: int) -> None:
    token = TOKENS.issue(device_id)

    assert TOKENS.device_of(token) == device_id
    assert len(token) == TOKEN_LENGTH
    assert token.replace("-", "").replace("_", "").isalnum()


def test_web_server_and_engine_derive_the_same_key() -> None:
    web = UnsubscribeTokens(ServiceKey(KEY).derive(PURPOSE)[0])

    assert web.device_of(TOKENS.issue(7)) == 7


def test_another_service_key_makes_other_tokens() -> None:
    other = UnsubscribeTokens.of_service_key(KEY + "x")

    assert other.device_of(TOKENS.issue(7)) is None


@pytest.mark.parametrize("place", range(TOKEN_LENGTH))
def test_changed_token_is_refused(place: int) -> None:
    token = TOKENS.issue(7)
    other = "A" if token[place] != "A" else "B"

    assert TOKENS.device_of(token[:place] + other + token[place + 1 :]) is None


@given(st.text(max_size=40))
def test_other_text_is_refused(text: str) -> None:
    assert TOKENS.device_of(text) is None
