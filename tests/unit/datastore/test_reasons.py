"""Labels of metrics: a part of the provider's reason that nobody else has written."""

import pytest

from datastore import reasons


@pytest.mark.parametrize(
    ("platform", "reason", "label"),
    [
        ("apns", "BadDeviceToken", "BadDeviceToken"),
        ("apns", "Unregistered (the token is dead)", "Unregistered"),
        ("fcm", "INVALID_ARGUMENT: a token of bob@example.org", "INVALID_ARGUMENT"),
        ("fcm", "status 502", "status 502"),
        ("webpush", "410 bob has left", "410"),
        ("webpush", "403", "403"),
        ("email", "550 5.1.1 <bob@example.org> is unknown", "550 5.1.1"),
        ("email", "550 no such user bob", "550"),
        ("email", "550 5.1.1111 odd", "550"),
        ("email", "Bob: no", "other"),
        ("webpush", "Unregistered", "other"),
        ("webpush", "bob", "other"),
        ("", "Unregistered", "other"),
        ("apns", "bob@example.org", "other"),
        ("apns", "", "other"),
        ("apns", "9999 lives", "other"),
    ],
)
def test_a_label_is_a_code_or_a_providers_name(
    platform: str, reason: str, label: str
) -> None:
    assert reasons.label(platform, reason) == label
