"""Users, tokens and devices as JSON."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from api.schemas import Id, In, Name, Out
from models.accounts import Device

LONGEST_TOKEN_S = 10 * 366 * 24 * 3600


class NewUser(In):
    name: Name


class NewToken(In):
    expires_in: Annotated[int, Field(ge=1, le=LONGEST_TOKEN_S)] | None = None
    """Seconds until it ends; null is never."""


class Token(Out):
    """A bearer token; this is the only time it can be read."""

    id: int
    user_id: int
    token: str
    created_at: datetime
    expires_at: datetime | None


class TokenOut(Out):
    """What is known of a token, without the token."""

    id: int
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class Tokens(Out):
    tokens: list[TokenOut]


class Logout(In):
    device_id: Id | None = None
    """The device that is to get no more pushes."""


class CreatedUser(Out):
    id: int
    name: str
    created_at: datetime
    token: str


def _platform(value: Any) -> Any:
    """Lower case; Google called FCM "GCM" before."""
    if not isinstance(value, str):
        return value
    name = value.lower()
    return "fcm" if name == "gcm" else name


Platform = Annotated[Literal["apns", "fcm"], BeforeValidator(_platform)]
DeviceToken = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,4096}$")]


class NewDevice(In):
    platform: Platform
    token: DeviceToken
    app: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")] | None = None
    environment: Literal["production", "sandbox"] = "production"
    locale: (
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{2,35}$")] | None
    ) = None


class DeviceOut(Out):
    id: int
    platform: str
    token: str
    app: str | None
    environment: str
    locale: str | None
    registered_at: datetime
    disabled_at: datetime | None
    reason: str | None


def device_out(device: Device) -> DeviceOut:
    return DeviceOut.model_validate(device, from_attributes=True)


class Devices(Out):
    devices: list[DeviceOut]
