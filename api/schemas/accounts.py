"""Users, tokens and devices as JSON."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, StringConstraints

from api.schemas import In, Name, Out
from models.accounts import Device


class NewUser(In):
    name: Name


class NewToken(In):
    pass


class Token(Out):
    """A bearer token; this is the only time it can be read."""

    id: int
    user_id: int
    token: str
    created_at: datetime
    expires_at: datetime | None


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
