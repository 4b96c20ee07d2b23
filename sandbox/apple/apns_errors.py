"""Apple's errors, and those that a fault token asks for."""

# Fault name → status and reason.
ERRORS = {
    "429": (429, "TooManyRequests"),
    "500": (500, "InternalServerError"),
    "503": (503, "ServiceUnavailable"),
    "503-after": (503, "ServiceUnavailable"),
    "503-date": (503, "ServiceUnavailable"),
    "bad-environment-key": (403, "BadEnvironmentKeyInToken"),
    "bad-token": (400, "BadDeviceToken"),
    "expired-token": (410, "ExpiredToken"),
    "flaky": (503, "ServiceUnavailable"),
    "invalid-payload": (400, "PayloadEmpty"),
    "no-subscriber": (503, "ServiceUnavailable"),
    "not-for-topic": (400, "DeviceTokenNotForTopic"),
    "payload-too-large": (413, "PayloadTooLarge"),
    "quota": (429, "TooManyRequests"),
    "quota-bare": (429, "TooManyRequests"),
    "sender-mismatch": (400, "DeviceTokenNotForTopic"),
    "shutdown": (503, "Shutdown"),
    "slow-body": (410, "Unregistered"),
    "third-party-auth": (403, "InvalidProviderToken"),
    "throttled": (429, "TooManyRequests"),
    "too-many": (429, "TooManyRequests"),
    "too-many-updates": (429, "TooManyProviderTokenUpdates"),
    "topic-disallowed": (400, "TopicDisallowed"),
    "unknown-reason": (400, "ReasonOfTomorrow"),
    "unregistered": (410, "Unregistered"),
    "unregistered-new": (410, "Unregistered"),
    "unregistered-old": (410, "Unregistered"),
    "wrong-environment": (400, "BadDeviceToken"),
}


class ApnsRefusal(Exception):
    """Apple refuses the push, with this status and reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
