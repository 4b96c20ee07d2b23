"""Each push service gets a signature that is valid for itself alone."""

import asyncio

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from config import vapid
from notifier.channels.webpush.credentials import Signer, VapidAuthorization
from tests.support.clock import Clock

ORIGIN = "https://push.example.org"
NOON = 1_750_000_000.0
HOUR = 3600


def _authorization(
    clock: Clock,
) -> tuple[VapidAuthorization, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    signer = Signer(key, "mailto:ops@example.org")
    return VapidAuthorization(signer, ORIGIN, clock=clock), key


def _token(authorization: VapidAuthorization) -> str:
    return asyncio.run(authorization.token()) or ""


def test_the_signature_names_audience_expiry_and_contact() -> None:
    authorization, key = _authorization(Clock(NOON))

    scheme, token, public = _token(authorization).split(" ")

    claims = jwt.decode(
        token.removeprefix("t=").rstrip(","),
        key.public_key(),
        algorithms=["ES256"],
        audience=ORIGIN,
        options={"verify_exp": False},
    )
    assert scheme == "vapid"
    assert public == f"k={vapid.encoded(key)}"
    assert claims["sub"] == "mailto:ops@example.org"
    assert 6 * HOUR < claims["exp"] - NOON <= 12 * HOUR


def test_it_is_signed_once_for_hours() -> None:
    clock = Clock(NOON)
    authorization, _ = _authorization(clock)
    first = _token(authorization)

    clock.now += 5 * HOUR

    assert _token(authorization) == first


def test_it_is_renewed_long_before_its_end() -> None:
    clock = Clock(NOON)
    authorization, _ = _authorization(clock)
    first = _token(authorization)

    clock.now += 6 * HOUR

    assert _token(authorization) != first


def test_a_clock_that_was_set_back_makes_a_new_one() -> None:
    clock = Clock(NOON)
    authorization, _ = _authorization(clock)
    first = _token(authorization)

    clock.now -= HOUR

    assert _token(authorization) != first
