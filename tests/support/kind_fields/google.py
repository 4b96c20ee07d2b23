"""What a kind says to Google, for Android, iPhones and browsers behind FCM."""

from typing import Any

from tests.support.kind_fields import Elsewhere, Field
from tests.support.kind_fields.browsers import OPTIONS

TEXT: tuple[Any, ...] = (5, ["a"], {})
WORD = ("", "{text}", "a" * 201)
FLAG: tuple[Any, ...] = ("true", 1, [])
BAD_LINKS = (
    "http://example.org/",
    "https://{text}/",
    "{data.link}",
    "javascript:alert(1)",
    "//example.org/",
)
SHOWN = "fcm.android.notification"
LIGHT = {
    "color": {"red": 1, "green": 0.5, "blue": 0, "alpha": 1},
    "light_on_duration": "1s",
    "light_off_duration": "0.5s",
}
LABEL: dict[str, Any] = {
    "rule": "1 to 50 ASCII letters, digits and `-_.~%`.",
    "right": ("chat", "a-b_c.d~e%f", "a" * 50),
    "wrong": ("", "a b", "a" * 51, 5),
}
# A field, a rule, and a value of the enumeration.
ENUMS = {
    "notification_priority": [
        f"PRIORITY_{name}"
        for name in ("UNSPECIFIED", "MIN", "LOW", "DEFAULT", "HIGH", "MAX")
    ],
    "visibility": ["VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"],
    "proxy": ["ALLOW", "DENY", "IF_PRIORITY_LOWERED"],
}

MESSAGE = (
    Field(
        "fcm",
        "The block has at most 3,072 bytes; the rest of FCM's 4,096 is for the texts.",
        (),
        (),
        (
            {"android": {"data": {"a": "x" * 3072}}},
            {
                "apns": {"payload": {f"own{n}": "x" * 500 for n in range(4)}},
                "webpush": {"notification": {"data": {"a": "x" * 1200}}},
            },
        ),
        about="size",
    ),
    Field(
        "fcm.data_only",
        "true: nothing is shown by the system, and an app draws the notification by "
        "itself; the priority stays high.",
        (True, False),
        unseen=("true", 1),
    ),
    *(
        Field(
            f"fcm.{path}",
            "Not with `data_only`.",
            (),
            unseen=(value,),
            beside={"fcm": {"data_only": True}},
            problem=f"fcm.{path}".removesuffix(".image").removesuffix(".tag"),
            about="data_only",
        )
        for path, value in (
            ("notification.image", "https://example.org/a.png"),
            ("android.notification.tag", "a"),
        )
    ),
    *(
        Field(
            f"fcm.{name}",
            "Set by Bottlepost: the address of the device.",
            (),
            unseen=("abc",),
        )
        for name in ("token", "fid", "topic", "condition")
    ),
    Field("fcm.name", "Google answers it.", (), unseen=("projects/p/messages/1",)),
    Field("fcm.validate_only", "Not sent: nothing would be pushed.", (), (), (True,)),
    Field(
        "fcm.data",
        "Set by Bottlepost: the message's own data and `bottlepost`; `android.data` is "
        "added to them.",
        (),
        unseen=({"a": "b"},),
    ),
    *(
        Field(
            f"fcm.notification.{name}",
            f"Set by Bottlepost: the {name} of the patterns.",
            (),
            unseen=("{text}",),
        )
        for name in ("title", "body")
    ),
    Field(
        "fcm.notification.image",
        "An https address; only its path and query may have placeholders. "
        "`{sender.avatar}` may stand alone.",
        (
            "https://example.org/a.png",
            "https://example.org/{conversation.external_id}?t={text}",
            "{sender.avatar}",
        ),
        (5, {}),
        BAD_LINKS,
    ),
    Field("fcm.fcm_options.analytics_label", **LABEL),
)
CONFIG = (
    Field(
        "fcm.android.collapse_key",
        "A pattern; a phone that is offline keeps four different ones. Not set by "
        "default: the tag replaces an earlier notification.",
        ("chat", "{conversation.external_id}"),
        TEXT,
    ),
    Field(
        "fcm.android.priority",
        "normal or high, in lower or upper case; without it high, and normal for what "
        "is silent.",
        ("normal", "high", "HIGH", "NORMAL"),
        ("low", 5),
        ("High",),
    ),
    Field(
        "fcm.android.ttl",
        "Seconds such as `3.5s`, at most 2,419,200 (four weeks). Without it the time "
        "for which Bottlepost pushes the message.",
        ("0s", "3.5s", "2419200s"),
        ("3.5", "-1s", "2419201s", 60, "1m"),
    ),
    Field(
        "fcm.android.restricted_package_name",
        "The name of an app; FCM refuses tokens of another one.",
        ("org.example.chat",),
        TEXT,
        WORD,
    ),
    Field(
        "fcm.android.data",
        "Texts by name, which are patterns. Bottlepost adds them to the data of the "
        "message. Not `aps`, `from`, `message_type`, `bottlepost`, and nothing that "
        "begins with `google` or `gcm`.",
        ({}, {"room": "{conversation}"}),
        ({"a": 5}, [], {"from": "a"}, {"message_type": "a"}, {"google.a": "b"}),
        ({"a": "{"}, {"bottlepost": "a"}, {"aps": "a"}, {"": "a"}, {"\ud83d": "a"}),
    ),
    *(
        Field(f"fcm.android.{name}", "true or false.", (True, False), FLAG)
        for name in (
            "direct_boot_ok",
            "bandwidth_constrained_ok",
            "restricted_satellite_ok",
        )
    ),
    Field("fcm.android.fcm_options.analytics_label", **LABEL),
    Field(
        "fcm.android_v2",
        "Not sent: it is a preview of Google's, and `android` reaches the same phones.",
        (),
        unseen=({"background_sync": {}},),
    ),
)
NOTIFICATION = (
    *(
        Field(
            f"{SHOWN}.{name}",
            f"A pattern that takes the place of the kind's {name} on Android.",
            ("{sender} ({conversation})", ""),
            TEXT,
            ("{nobody}", "{"),
        )
        for name in ("title", "body")
    ),
    *(
        Field(
            f"{SHOWN}.{name}_loc_key",
            "A string resource of the app; the text in its place is not sent.",
            ("new_message",),
            TEXT,
            WORD,
        )
        for name in ("title", "body")
    ),
    *(
        Field(
            f"{SHOWN}.{name}_loc_args",
            f"A list of patterns, only with `{name}_loc_key`.",
            (["{sender}", "{text}"],),
            ("a", [5], {}),
            (["{nobody}"], ["a"] * 21),
            {"fcm": {"android": {"notification": {f"{name}_loc_key": "key"}}}},
        )
        for name in ("title", "body")
    ),
    *(
        Field(
            f"{SHOWN}.{name}_loc_args",
            "Without its key it has no place to go.",
            (),
            (["a"],),
            about="alone",
        )
        for name in ("title", "body")
    ),
    Field(f"{SHOWN}.icon", "A drawable of the app.", ("ic_chat",), TEXT, WORD),
    Field(
        f"{SHOWN}.color",
        "`#rrggbb`.",
        ("#00ff7F",),
        ("red", "#fff", "#00ff7f00", 5),
    ),
    Field(
        f"{SHOWN}.sound",
        "`default` or a resource of the app; a channel has its own.",
        ("default", "bell"),
        TEXT,
        WORD,
    ),
    Field(
        f"{SHOWN}.tag",
        "A pattern: it replaces the notification with the same tag. Without it "
        "`message-<id>`; with another one, Bottlepost's repeated pushes still have the "
        "same tag.",
        ("call", "{conversation.external_id}"),
        TEXT,
    ),
    Field(f"{SHOWN}.click_action", "An intent filter.", ("OPEN_CHAT",), TEXT, WORD),
    Field(
        f"{SHOWN}.channel_id",
        "A channel of the app; an unknown one is the app's default.",
        ("messages",),
        TEXT,
        WORD,
    ),
    Field(f"{SHOWN}.ticker", "A pattern that is read aloud.", ("{text}",), TEXT),
    *(
        Field(f"{SHOWN}.{name}", rule, (True, False), FLAG)
        for name, rule in (
            ("sticky", "true: a tap does not remove it."),
            ("local_only", "true: no other device of the user shows it."),
            ("default_sound", "true: the system's sound."),
            (
                "default_vibrate_timings",
                "true: the system's; it wins over `vibrate_timings`.",
            ),
            (
                "default_light_settings",
                "true: the system's; `light_settings` wins over it.",
            ),
            ("bypass_proxy_notification", "Deprecated by Google."),
        )
    ),
    Field(
        f"{SHOWN}.event_time",
        "A time with a zone (RFC 3339).",
        ("2030-01-31T12:00:00Z", "2030-01-31T12:00:00.5+01:00"),
        (
            "yesterday",
            "2030-01-31T12:00:00",
            "2030-01-31",
            "2030-W05-4T12:00:00Z",
            "20300131T120000Z",
            "2030-01-31T12:00Z",
            "2030-01-31T12:00:00+01:00:30",
            5,
        ),
    ),
    *(
        Field(
            f"{SHOWN}.{name}",
            f"{', '.join(values[:-1])} or {values[-1]}.",
            tuple(values),
            ("LOUD", 5),
        )
        for name, values in ENUMS.items()
    ),
    Field(
        f"{SHOWN}.vibrate_timings",
        "A list of durations such as `0.5s`; the first one is a pause.",
        (["0s", "1.5s"], []),
        (["-1s"], ["1"], "1s", [1]),
    ),
    Field(
        f"{SHOWN}.light_settings",
        "All three parts are needed.",
        (LIGHT,),
        (
            {},
            {k: v for k, v in LIGHT.items() if k != "light_off_duration"},
            {**LIGHT, "own": 1},
        ),
    ),
    *(
        Field(
            f"{SHOWN}.light_settings.color.{part}",
            "A number from 0 to 1.",
            (0, 0.5, 1),
            (-0.1, 1.1, "1"),
            beside={"fcm": {"android": {"notification": {"light_settings": LIGHT}}}},
        )
        for part in ("red", "green", "blue", "alpha")
    ),
    *(
        Field(
            f"{SHOWN}.light_settings.{name}",
            "A duration such as `0.5s`.",
            ("1s", "0.25s"),
            ("1", "-1s", 1),
            beside={"fcm": {"android": {"notification": {"light_settings": LIGHT}}}},
        )
        for name in ("light_on_duration", "light_off_duration")
    ),
    Field(
        f"{SHOWN}.notification_count",
        "Set by Bottlepost: the number of the user's unread messages.",
        (),
        (-1, 2**31),
        (3,),
    ),
    Field(
        f"{SHOWN}.image",
        "As `fcm.notification.image`, for Android only.",
        ("https://example.org/{data.image}", "{sender.avatar}"),
        (5, {}),
        BAD_LINKS,
    ),
)
APNS = "fcm.apns"
IPHONE = (
    Field(
        f"{APNS}.headers.apns-push-type",
        "As `apns.headers.push_type`.",
        ("alert",),
        ("message", ""),
        (5,),
    ),
    Field(
        f"{APNS}.headers.apns-priority",
        'A text: "1", "5" or "10".',
        ("1", "5", "10"),
        ("7", 10),
    ),
    Field(
        f"{APNS}.headers.apns-priority",
        'Only "5" with `background`.',
        ("5",),
        ("10",),
        beside={"fcm": {"apns": {"headers": {"apns-push-type": "background"}}}},
        about="background",
    ),
    Field(
        f"{APNS}.headers.apns-expiration",
        "A text of digits, as `apns.headers.expiration`.",
        ("0", "1900000000"),
        ("soon", "-1", 0),
    ),
    Field(
        f"{APNS}.headers.apns-collapse-id",
        "As `apns.headers.collapse_id`.",
        ("call", "{conversation}"),
        ("", "a" * 65, 5),
    ),
    Field(
        f"{APNS}.headers.apns-topic",
        "Set by Google: the app of the device.",
        (),
        unseen=("org.example.chat",),
    ),
    Field(f"{APNS}.headers.apns-id", "Set by Google.", (), unseen=("a",)),
    Field(f"{APNS}.headers.authorization", "Set by Google.", (), unseen=("bearer a",)),
    *(
        Field(
            f"{APNS}.payload.aps.{name}",
            f"As `apns.aps.{name}`; all keys of `aps` have the same rules here.",
            right,
            wrong,
            beside=beside,
        )
        for name, right, wrong, beside in (
            ("alert", ({"title": "{sender}"}, "{text}"), (5,), {}),
            ("sound", ("default",), (5,), {}),
            ("category", ("MESSAGE",), (5,), {}),
            ("mutable-content", (1,), (True, 0), {}),
            ("relevance-score", (0.5,), (2, "1"), {}),
            ("own", (), (1,), {}),
            ("badge", (), (-1,), {}),
            (
                "content-changed",
                (),
                (True,),
                {"fcm": {"apns": {"headers": {"apns-push-type": "alert"}}}},
            ),
        )
    ),
    Field(
        f"{APNS}.payload.own",
        "Any JSON beside `aps`, as `apns.payload`.",
        ({"to": ["{text}", 1, None]}, "a"),
        (),
        ("{", "x" * 2050),
        problem=f"{APNS}.payload",
    ),
    Field(
        f"{APNS}.payload.bottlepost",
        "Set by Bottlepost: the reference to the message.",
        (),
        unseen=({},),
    ),
    Field(
        f"{APNS}.live_activity_token",
        "A text that is not empty and has no placeholders; `aps` then has the keys of "
        "a Live Activity. Only for kinds that members may not name.",
        ("ab12",),
        ("", 5),
        ("{data.token}", "{"),
        beside={
            "fcm": {"apns": {"payload": {"aps": {"event": "end", "timestamp": 1}}}}
        },
    ),
    Field(
        f"{APNS}.live_activity_token",
        "Without an `event` it is none.",
        (),
        ("ab12",),
        beside={"fcm": {"apns": {"payload": {"aps": {"sound": "default"}}}}},
        problem=f"{APNS}.payload.aps.event",
        about="without its keys",
    ),
    Field(
        f"{APNS}.fcm_options.image",
        "As `fcm.notification.image`; the app needs a service extension.",
        ("https://example.org/a.png", "{sender.avatar}"),
        (5,),
        BAD_LINKS,
    ),
    Field(f"{APNS}.fcm_options.analytics_label", **LABEL),
)
BROWSER = (
    *(
        Field(f"fcm.webpush.headers.{name}", rule, right, wrong)
        for name, rule, right, wrong in (
            ("TTL", "A text of digits.", ("0", "2592000"), ("soon", "-1", 60)),
            (
                "Urgency",
                "very-low, low, normal or high.",
                ("very-low", "low", "normal", "high"),
                ("loud",),
            ),
            ("Topic", "As `webpush.topic`.", ("abcd", "a" * 32), ("abcde", "ä", "")),
            ("X-Own", "Texts by the name of a header.", ("a",), (5,)),
        )
    ),
    Field(
        "fcm.webpush.headers",
        "A header is there once, and has no placeholders.",
        ({"X-Own": "a{{b}}"},),
        unseen=(
            {"TTL": "1", "ttl": "2"},
            {"X-Own": "{text}"},
            {"X-Own": "{"},
            {"X-Own": "a\nb"},
        ),
    ),
    Field(
        "fcm.webpush.data",
        "Not sent: it would take the place of the message's data.",
        (),
        unseen=({"a": "b"},),
    ),
    *(
        field._replace(
            path=field.path.replace("webpush.options", "fcm.webpush.notification"),
            rule=f"As `{field.path}`.",
            beside={
                "fcm": {"webpush": {"notification": field.beside["webpush"]["options"]}}
            }
            if field.beside
            else {},
            problem=field.problem
            and field.problem.replace("webpush.options", "fcm.webpush.notification"),
        )
        for field in OPTIONS
    ),
    Field(
        "fcm.webpush.fcm_options.link",
        "An https address that a click opens.",
        ("https://example.org/{conversation.external_id}",),
        ("http://example.org/", "/chat", 5),
        ("https://{text}/",),
    ),
    Field("fcm.webpush.fcm_options.analytics_label", **LABEL),
)
FIELDS = (*MESSAGE, *CONFIG, *NOTIFICATION, *IPHONE, *BROWSER)
SANDBOX = "integration/sandbox/google/test_fcm.py"
ELSEWHERE = (
    Elsewhere(
        "`message.token`",
        "The token of the device; deprecated by Google, and still accepted.",
        f"{SANDBOX}::test_wrong_token_is_told_from_wrong_payload",
    ),
    Elsewhere(
        "`message.fid`",
        "A Firebase Installation ID of 22 characters, the first of them c, d, e or f.",
        f"{SANDBOX}::test_a_malformed_installation_id_is_unregistered",
    ),
    Elsewhere(
        "`message.topic`, `message.condition`",
        "Not sent: Bottlepost knows the devices of each member.",
        f"{SANDBOX}::test_message_of_the_reference_is_accepted",
    ),
    Elsewhere(
        "two addresses, or none",
        "Never sent; Google refuses it.",
        f"{SANDBOX}::test_wrong_payload_names_its_field",
    ),
    Elsewhere(
        "`message.data`",
        "Texts only; reserved names are refused when a message is sent.",
        "unit/notifier/channels/fcm/test_payload.py::test_reserved_keys_are_refused",
    ),
    Elsewhere(
        "the size",
        "4,096 bytes; a longer text is cut.",
        f"{SANDBOX}::test_message_is_4096_bytes_at_most_and_half_for_topics",
    ),
    Elsewhere(
        "Apple's key is wrong",
        "401 THIRD_PARTY_AUTH_ERROR: the operator is told, and no device is removed.",
        f"{SANDBOX}::test_token_is_refused_as_it_says",
    ),
    Elsewhere(
        "`android_v2`",
        "The sandbox knows it, with `remote_notification`, `background_sync` and all "
        "that is in them.",
        f"{SANDBOX}::test_message_of_the_reference_is_accepted",
    ),
)
