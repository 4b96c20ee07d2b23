"""The browser can decrypt every push, and no other browser can."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from models import subscriptions
from notifier.channels.webpush.encryption import MAX_PLAINTEXT, encrypt
from sandbox.browsers.browser import Browser, Unreadable, b64, unb64

# RFC 8291, appendix A.
PLAINTEXT = b"When I grow up, I want to be a watermelon"
SENDER_KEY = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
BROWSER_KEY = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
BROWSER_POINT = (
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNt"
    "oIAiw4"
)
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
SALT = "DGv6ra1nlYgDCS1FRnbzlw"
BODY = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vC"
    "YLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXL"
    "WyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


def _private(text: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(unb64(text), "big"), ec.SECP256R1())


def test_the_example_of_the_rfc_comes_out() -> None:
    browser = Browser(key=_private(BROWSER_KEY), auth=unb64(AUTH))
    subscription = subscriptions.parse(browser.token)

    body = encrypt(PLAINTEXT, subscription, key=_private(SENDER_KEY), salt=unb64(SALT))

    assert b64(browser.point) == BROWSER_POINT
    assert b64(body) == BODY


def test_the_browser_of_the_rfc_reads_the_example() -> None:
    browser = Browser(key=_private(BROWSER_KEY), auth=unb64(AUTH))

    assert browser.decrypt(unb64(BODY)) == PLAINTEXT


@settings(max_examples=50)
@given(st.binary(max_size=MAX_PLAINTEXT))
def test_a_browser_reads_what_was_written_to_it(plaintext: bytes) -> None:
    browser = Browser()

    body = encrypt(plaintext, subscriptions.parse(browser.token))

    assert browser.decrypt(body) == plaintext
    assert len(body) == len(plaintext) + 103


def test_the_longest_plaintext_fills_what_every_service_takes() -> None:
    body = encrypt(bytes(MAX_PLAINTEXT), subscriptions.parse(Browser().token))

    assert len(body) == 4096


def test_a_longer_plaintext_is_refused() -> None:
    subscription = subscriptions.parse(Browser().token)

    with pytest.raises(ValueError, match="3993"):
        encrypt(bytes(MAX_PLAINTEXT + 1), subscription)


def test_no_two_pushes_share_a_key_or_a_salt() -> None:
    subscription = subscriptions.parse(Browser().token)

    bodies = [encrypt(b"same", subscription) for _ in range(20)]

    assert len({body[:16] for body in bodies}) == 20
    assert len({body[21:86] for body in bodies}) == 20


def test_another_browser_cannot_read_it() -> None:
    browser, other = Browser(), Browser()
    body = encrypt(b"secret", subscriptions.parse(browser.token))

    with pytest.raises(Unreadable):
        other.decrypt(body)


def test_a_changed_body_cannot_be_read() -> None:
    browser = Browser()
    body = bytearray(encrypt(b"secret", subscriptions.parse(browser.token)))

    body[-1] ^= 1

    with pytest.raises(Unreadable):
        browser.decrypt(bytes(body))
