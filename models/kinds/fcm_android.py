"""What a message of FCM says to Android."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from models.kinds.fields import (
    ABSENT,
    Block,
    Color,
    Duration,
    Fraction,
    Https,
    Label,
    Moment,
    ShortText,
    Text,
    Texts,
    Ttl,
    Word,
    is_partial,
    refuse,
)

DATA = "is the message's own data, with Bottlepost's key among it"
COUNT = "is the number of the user's unread messages"


class AnalyticsOptions(Block):
    analytics_label: Label = ABSENT


class LightColor(Block):
    red: Fraction = ABSENT
    green: Fraction = ABSENT
    blue: Fraction = ABSENT
    alpha: Fraction = ABSENT


class LightSettings(Block):
    """The light of a phone; all three parts are needed."""

    color: LightColor
    light_on_duration: Duration
    light_off_duration: Duration


class ShownOnAndroid(Block):
    """The fields of a notification that both forms for Android have."""

    OURS: ClassVar = {"notification_count": COUNT}

    title: ShortText = ABSENT
    body: Text = ABSENT
    title_loc_key: Word = ABSENT
    body_loc_key: Word = ABSENT
    title_loc_args: Texts = ABSENT
    body_loc_args: Texts = ABSENT
    icon: Word = ABSENT
    color: Color = ABSENT
    sound: Word = ABSENT
    tag: ShortText = ABSENT
    click_action: Word = ABSENT
    channel_id: Word = ABSENT
    ticker: Text = ABSENT
    sticky: bool = ABSENT
    local_only: bool = ABSENT
    event_time: Moment = ABSENT
    notification_priority: Literal[
        "PRIORITY_UNSPECIFIED",
        "PRIORITY_MIN",
        "PRIORITY_LOW",
        "PRIORITY_DEFAULT",
        "PRIORITY_HIGH",
        "PRIORITY_MAX",
    ] = ABSENT
    default_sound: bool = ABSENT
    default_vibrate_timings: bool = ABSENT
    default_light_settings: bool = ABSENT
    vibrate_timings: Annotated[list[Duration], Field(max_length=100)] = ABSENT
    light_settings: LightSettings = ABSENT
    visibility: Literal["VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"] = (
        ABSENT
    )
    image: Https = ABSENT

    @model_validator(mode="after")
    def _have_keys(self, info: ValidationInfo) -> Self:
        given = self.model_fields_set
        refuse(
            {
                f"{part}_loc_args": f"needs {part}_loc_key"
                for part in ("title", "body")
                if f"{part}_loc_args" in given and f"{part}_loc_key" not in given
            }
            if not is_partial(info)
            else {}
        )
        return self


class AndroidNotification(ShownOnAndroid):
    """`android.notification`."""

    proxy: Literal["ALLOW", "DENY", "IF_PRIORITY_LOWERED"] = ABSENT
    bypass_proxy_notification: bool = ABSENT


class RemoteNotificationContent(ShownOnAndroid):
    """`android_v2.remote_notification.notification`."""

    id: Annotated[int, Field(ge=0, lt=2**31)] = ABSENT


class RemoteNotification(Block):
    """A notification that the system shows, in the newer form."""

    mutable_content: bool = ABSENT
    use_as_v1_data_message: bool = ABSENT
    notification: RemoteNotificationContent


class BackgroundSync(Block):
    """Nothing is shown; it has no fields."""


class _Delivery(Block):
    """How a message gets to an Android phone."""

    OURS: ClassVar = {"data": DATA}

    collapse_key: ShortText = ABSENT
    ttl: Ttl = ABSENT
    restricted_package_name: Word = ABSENT
    direct_boot_ok: bool = ABSENT
    bandwidth_constrained_ok: bool = ABSENT
    restricted_satellite_ok: bool = ABSENT
    fcm_options: AnalyticsOptions = ABSENT


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


class AndroidConfig(_Delivery):
    """`android` of FCM's message."""

    priority: Annotated[Literal["normal", "high"], BeforeValidator(_lower)] = ABSENT
    notification: AndroidNotification = ABSENT


class AndroidV2Config(_Delivery):
    """`android_v2`, a preview: it has no priority, and exactly one purpose."""

    remote_notification: RemoteNotification = ABSENT
    background_sync: BackgroundSync = ABSENT

    @model_validator(mode="after")
    def _has_one_purpose(self, info: ValidationInfo) -> Self:
        purposes = {"remote_notification", "background_sync"} & self.model_fields_set
        if len(purposes) != 1 and not is_partial(info):
            refuse({"remote_notification": "or background_sync is needed, not both"})
        return self
