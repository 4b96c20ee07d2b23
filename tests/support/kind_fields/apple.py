"""What a kind says to Apple."""

from typing import Any

from tests.support.kind_fields import Elsewhere, Field


def of_type(push_type: str, **more: Any) -> dict[str, Any]:
    return {"apns": {"headers": {"push_type": push_type}, **more}}


TEXT: tuple[Any, ...] = (5, ["a"], {})
WORD = ("", "{text}", "a" * 201)
ALERT = "apns.aps.alert"
START = {"event": "start", "content-state": {}, "attributes-type": "Trip"}
ACTIVITY = of_type("liveactivity", aps={**START, "attributes": {"to": "{text}"}})
UPDATE = of_type("liveactivity", aps={"event": "update", "content-state": {"a": 1}})
END = of_type("liveactivity", aps={"event": "end"})

HEADERS = (
    Field(
        "apns.headers.push_type",
        "One of Apple's eleven push types; without it `alert`.",
        ("alert", "background"),
        ("message", 5),
    ),
    Field(
        "apns.headers.push_type",
        "`background`: nothing is shown, so no alert and no sound; Bottlepost sets "
        "`content-available`.",
        ("background",),
        ("alert ",),
        (),
        of_type("background", aps={"content-available": 1}),
        about="background",
    ),
    Field(
        "apns.aps.alert",
        "`background` has none.",
        (),
        ({"title": "Ann"},),
        beside=of_type("background"),
        about="background",
    ),
    Field(
        "apns.headers.priority",
        "1, 5 or 10; without it 10, and 5 for `background`.",
        (1, 5, 10),
        (0, 7, 10.5),
        ("10", True),
    ),
    Field(
        "apns.headers.priority",
        "`background` takes 5 only.",
        (5,),
        (10, 1),
        beside=of_type("background"),
        about="background",
    ),
    Field(
        "apns.headers.priority",
        "`location` takes 5 and 10.",
        (5, 10),
        (1,),
        beside=of_type("location"),
        about="location",
    ),
    Field(
        "apns.headers.priority",
        "`liveactivity` takes 5 and 10.",
        (5, 10),
        (1,),
        beside=UPDATE,
        about="liveactivity",
    ),
    Field(
        "apns.headers.expiration",
        "Seconds since 1970, or 0: Apple tries once and keeps nothing. Without it the "
        "time until which Bottlepost pushes the message.",
        (0, 1_900_000_000),
        (-1, 1.5, 10**15),
        ("0",),
    ),
    Field(
        "apns.headers.collapse_id",
        "A pattern of 1 to 64 bytes; a filled one that is longer is sent as a hash. "
        "Without it `message-<id>`, by which a repeated push replaces the first one.",
        ("call", "chat-{conversation.external_id}"),
        ("", "a" * 65, "ü" * 33),
        ("{", 5),
    ),
    Field(
        "apns.headers.topic_suffix",
        "What follows the app in `apns-topic`; it may only be that of the push type.",
        (".voip",),
        ("", ".complication"),
        beside=of_type("voip"),
    ),
    Field(
        "apns.headers.topic",
        "Set by Bottlepost: the `app` of the device, or the setting.",
        (),
        unseen=("org.example.chat",),
    ),
    Field(
        "apns.headers.id",
        "Set by Bottlepost: the same in every try.",
        (),
        unseen=("123e4567-e89b-12d3-a456-426614174000",),
    ),
    Field(
        "apns.headers.authorization",
        "Set by Bottlepost, from the signing key.",
        (),
        unseen=("bearer x",),
    ),
)
TEXTS = (
    Field(
        ALERT,
        "An object, or a text, which is its `body`.",
        ({"title": "{sender}"}, "{text}"),
        (5, ["a"], {"text": "a"}),
    ),
    *(
        Field(
            f"{ALERT}.{name}",
            f"A pattern that takes the place of the kind's {name} on Apple's devices.",
            ("{sender}: {text}", ""),
            TEXT,
            ("{nobody}", "{", "a\0"),
        )
        for name in ("title", "subtitle", "body")
    ),
    *(
        Field(
            f"{ALERT}.{name}",
            "A key of the app's Localizable file, without placeholders; the text in "
            "its place is not sent.",
            ("NEW_MESSAGE",),
            TEXT,
            WORD,
        )
        for name in ("title-loc-key", "subtitle-loc-key", "loc-key")
    ),
    *(
        Field(
            f"{ALERT}.{name.replace('key', 'args')}",
            f"A list of patterns, only with `{name}`.",
            (["{sender}", "{text}"], []),
            ("a", [5], {}),
            (["{nobody}"], ["a"] * 21),
            {"apns": {"aps": {"alert": {name: "KEY"}}}},
        )
        for name in ("title-loc-key", "subtitle-loc-key", "loc-key")
    ),
    *(
        Field(
            f"{ALERT}.{name}",
            "Without its key it has no place to go.",
            (),
            (["a"],),
            about="alone",
        )
        for name in ("title-loc-args", "subtitle-loc-args", "loc-args")
    ),
    Field(f"{ALERT}.launch-image", "A file of the app.", ("a.png",), TEXT, WORD),
)
KEYS = (
    Field(
        "apns.aps.badge",
        "Set by Bottlepost: the number of the user's unread messages.",
        (),
        (-1, "3"),
        (3, 0),
    ),
    Field(
        "apns.aps.sound",
        "`default` or a file of the app; an empty text is no sound. Without it "
        "`default`.",
        ("default", "bell.caf", ""),
        (5, ["a"]),
        ("{data.sound}", "a" * 201),
    ),
    Field(
        "apns.aps.sound.critical",
        "0 or 1; critical alerts need Apple's consent.",
        (0, 1),
        (2, True, "1"),
        beside={"apns": {"aps": {"sound": {"name": "bell"}}}},
    ),
    Field(
        "apns.aps.sound.name",
        "A text that is not empty; needed in a dictionary.",
        ("bell",),
        ("", 5),
        ("{text}",),
        {"apns": {"aps": {"sound": {"critical": 1}}}},
    ),
    Field(
        "apns.aps.sound.volume",
        "A number from 0 to 1.",
        (0, 0.5, 1),
        (-0.1, 1.1, "1"),
        beside={"apns": {"aps": {"sound": {"name": "bell", "critical": 1}}}},
    ),
    Field(
        "apns.aps.thread-id",
        "A pattern; notifications with the same value are one group. Without it "
        "`chat-<id>`.",
        ("calls", "{conversation.external_id}"),
        TEXT,
        ("{a}",),
    ),
    Field("apns.aps.category", "A category of the app.", ("MESSAGE",), TEXT, WORD),
    Field(
        "apns.aps.content-available",
        "1 wakes the app; with `background` Bottlepost sets it.",
        (1,),
        (0, True, "1"),
    ),
    Field(
        "apns.aps.mutable-content",
        "1 runs the app's service extension.",
        (1,),
        (0, True, "1"),
    ),
    Field(
        "apns.aps.mutable-content",
        "It needs an alert that is seen.",
        (),
        (1,),
        beside=of_type("background"),
        about="background",
    ),
    Field(
        "apns.aps.target-content-id",
        "A pattern: the scene that comes to the front.",
        ("chat-{conversation.external_id}",),
        TEXT,
    ),
    Field(
        "apns.aps.interruption-level",
        "passive, active, time-sensitive (a capability of the app) or critical (with "
        "Apple's consent).",
        ("passive", "active", "time-sensitive", "critical"),
        ("loud", 1),
    ),
    Field(
        "apns.aps.relevance-score",
        "A number from 0 to 1.",
        (0, 0.5, 1),
        (-0.1, 2, "1", True),
    ),
    Field(
        "apns.aps.filter-criteria",
        "A pattern, for the app's Focus filter.",
        ("work", "{conversation.external_id}"),
        TEXT,
    ),
    Field(
        "apns.aps.url-args",
        "A list of texts; old Safari pushes had it.",
        (["a", "b"],),
        ("a", [5]),
        (["{text}"],),
    ),
    Field(
        "apns.aps.content-changed",
        "true; only with `widgets` and `controls`, which have nothing else.",
        (True,),
        (False, 1, "true"),
        beside=of_type("widgets"),
    ),
    Field(
        "apns.aps.content-changed",
        "No other push has it.",
        (),
        (True,),
        about="alert",
    ),
    Field(
        "apns.aps.own",
        "Own keys stand beside `aps`; a phone ignores them inside it.",
        (),
        (1,),
    ),
    Field(
        "apns.payload",
        "Own keys of any JSON beside `aps`, whose texts are patterns; not `aps` and "
        "`bottlepost`. Together with `aps` at most 2,048 bytes.",
        ({}, {"own": {"to": ["{text}", 1, None, True]}}),
        (),
        (
            [],
            "a",
            {"a": "{"},
            {"a": "x" * 2050},
            {"a": float("nan")},
            {"a": {"b": ["{nobody}"]}},
        ),
    ),
    Field(
        "apns.payload.bottlepost",
        "Set by Bottlepost: the reference to the message.",
        (),
        unseen=({"message": 1},),
    ),
    Field("apns.payload.aps", "It has its own place.", (), unseen=({},)),
)
ACTIVITIES = (
    Field(
        "apns.aps.timestamp",
        "Whole seconds since 1970. Without it the time of the message.",
        (0, 1_900_000_000),
        (-1, 1.5, "1"),
        beside=UPDATE,
    ),
    Field(
        "apns.aps.event",
        "start, update or end; needed.",
        ("update", "end"),
        ("stop", 1),
        beside=UPDATE,
    ),
    Field(
        "apns.headers.push_type",
        "A Live Activity has an `event`.",
        (),
        ("liveactivity",),
        problem="apns.aps.event",
        about="liveactivity without its keys",
    ),
    Field(
        "apns.aps.content-state",
        "An object; needed for start and update.",
        ({}, {"eta": "{data.eta}", "stops": [1, 2]}),
        ([], "a"),
        beside=UPDATE,
    ),
    Field(
        "apns.aps.event",
        "An update needs `content-state`.",
        (),
        ("update",),
        beside=END,
        problem="apns.aps.content-state",
        about="update",
    ),
    Field(
        "apns.aps.event",
        "A start needs `attributes`, `attributes-type` and `content-state`; its alert "
        "is that of the patterns, if there is none.",
        (),
        ("start",),
        beside=UPDATE,
        problem="apns.aps.attributes",
        about="start",
    ),
    Field(
        "apns.aps.attributes-type",
        "A text, only at the start.",
        ("Trip",),
        (5, {}),
        ("", "{text}"),
        ACTIVITY,
    ),
    Field(
        "apns.aps.attributes",
        "An object, only at the start.",
        ({}, {"to": "{text}"}),
        ([], "a"),
        beside=ACTIVITY,
    ),
    *(
        Field(
            f"apns.aps.{name}",
            "Only at the start.",
            (),
            (value,),
            beside=UPDATE,
            about="update",
        )
        for name, value in (
            ("attributes-type", "Trip"),
            ("attributes", {}),
            ("input-push-token", 1),
            ("input-push-channel", "YQ=="),
        )
    ),
    Field(
        "apns.aps.alert",
        "An object; a start needs it.",
        ({"title": "{sender}", "body": "{text}"},),
        (5,),
        beside=ACTIVITY,
        about="liveactivity",
    ),
    Field(
        "apns.aps.relevance-score",
        "Any number in a Live Activity.",
        (50, -1.5),
        ("1", True),
        beside=UPDATE,
        about="liveactivity",
    ),
    Field(
        "apns.aps.stale-date",
        "Whole seconds since 1970.",
        (1_900_000_000,),
        (-1, "1", 1.5),
        beside=UPDATE,
    ),
    Field(
        "apns.aps.dismissal-date",
        "Whole seconds since 1970, only at the end; a past time is at once.",
        (0, 1_900_000_000),
        (-1, "1", 1.5),
        beside=END,
    ),
    Field(
        "apns.aps.dismissal-date",
        "Only at the end.",
        (),
        (0,),
        beside=UPDATE,
        about="update",
    ),
    Field(
        "apns.aps.input-push-token",
        "1 at the start asks for a token for updates.",
        (1,),
        (0, True, "1"),
        beside=ACTIVITY,
    ),
    Field(
        "apns.aps.input-push-channel",
        "A channel in base64 at the start.",
        ("dGVzdA==",),
        (5,),
        ("", "a channel"),
        ACTIVITY,
    ),
    Field(
        "apns.aps.input-push-channel",
        "Not together with `input-push-token`.",
        (),
        ("dGVzdA==",),
        beside=of_type(
            "liveactivity",
            aps={**START, "attributes": {}, "input-push-token": 1},
        ),
        about="with a token",
    ),
    *(
        Field(
            f"apns.aps.{name}",
            "Only in a Live Activity.",
            (),
            (value,),
            about="alert",
        )
        for name, value in (
            ("timestamp", 1),
            ("event", "end"),
            ("content-state", {}),
            ("stale-date", 1),
        )
    ),
)
RAW = (
    Field(
        "apns.headers.push_type",
        "`voip`: topic `.voip`; the payload is the kind's own.",
        ("voip",),
        beside={"apns": {"payload": {"call": "{data.call}", "own": "x" * 4500}}},
        about="voip",
    ),
    Field(
        "apns.payload",
        "At most 4,864 of Apple's 5,120 bytes; the rest is for the reference under "
        "`bottlepost`.",
        ({"own": "x" * 4800},),
        ({"own": "x" * 5110},),
        ({"own": "x" * 4860},),
        of_type("voip"),
        about="voip",
    ),
    Field(
        "apns.payload",
        "At most 3,840 of Apple's 4,096 bytes; the rest is for the reference under "
        "`bottlepost`.",
        ({"own": "x" * 3800},),
        ({"own": "x" * 4090},),
        ({"own": "x" * 3840},),
        of_type("complication"),
        about="complication",
    ),
    Field(
        "apns.headers.push_type",
        "`complication`: topic `.complication`; the payload is the kind's own.",
        ("complication",),
        beside={"apns": {"payload": {"unread": "{data.unread}"}}},
        about="complication",
    ),
    Field(
        "apns.headers.push_type",
        "`location`: topic `.location-query`; it needs a signing key, not a "
        "certificate.",
        ("location",),
        about="location",
    ),
    Field(
        "apns.headers.push_type",
        "`pushtotalk`: topic `.voip-ptt`; usual are priority 10 and expiration 0.",
        ("pushtotalk",),
        beside={"apns": {"payload": {"speaker": "{sender}"}}},
        about="pushtotalk",
    ),
    Field(
        "apns.headers.push_type",
        "`fileprovider`: topic `.pushkit.fileprovider`.",
        ("fileprovider",),
        beside={"apns": {"payload": {"container-identifier": "a", "domain": "b"}}},
        about="fileprovider",
    ),
    Field(
        "apns.payload",
        "`container-identifier` is needed, `domain` may follow; both are texts.",
        ({"container-identifier": "NSFileProviderRootContainerItemIdentifier"},),
        (),
        (
            {"container-identifier": 5},
            {"container-identifier": "a", "domain": 5},
            {"container-identifier": "a", "other": "b"},
        ),
        of_type("fileprovider"),
        about="fileprovider",
    ),
    Field(
        "apns.payload",
        "`mdm` has a text, and nothing stands beside it; the topic is the `app` of the "
        "device.",
        ({"mdm": "D1A2"},),
        (),
        ({"mdm": 5}, {"mdm": "a", "other": "b"}),
        of_type("mdm"),
        about="mdm",
    ),
    Field(
        "apns.headers.push_type",
        "`mdm` needs its text.",
        (),
        ("mdm",),
        problem="apns.payload.mdm",
        about="mdm",
    ),
    *(
        Field(
            "apns.headers.push_type",
            f"`{push_type}`: topic `.push-type.{push_type}`; `content-changed` is all "
            "that it has.",
            (push_type,),
            beside={"apns": {"aps": {"content-changed": True}}},
            about=push_type,
        )
        for push_type in ("widgets", "controls")
    ),
    *(
        Field(
            "apns.payload.own",
            "Nothing stands beside `aps`.",
            (),
            (1,),
            beside=of_type(push_type, aps={"content-changed": True}),
            about=push_type,
        )
        for push_type in ("widgets", "controls")
    ),
    Field(
        "members",
        "A raw push type, everything but `alert` and `background`, is for kinds that "
        "only the service uses, and for the service's `notification`.",
        (False,),
        unseen=(True,),
        beside=of_type("voip"),
        problem="apns.headers.push_type",
        about="raw push types",
    ),
)
FIELDS = (*HEADERS, *TEXTS, *KEYS, *ACTIVITIES, *RAW)
SANDBOX = "integration/sandbox/apple"
ELSEWHERE = (
    Elsewhere(
        "`authorization`",
        "`bearer <JWT>`, ES256, renewed before it is an hour old.",
        f"{SANDBOX}/test_apns_tokens.py::test_token_older_than_an_hour_has_expired",
    ),
    Elsewhere(
        "`:path`",
        "`/3/device/<token>`.",
        f"{SANDBOX}/test_apns_headers.py::test_other_paths_are_bad",
    ),
    Elsewhere(
        "`:method`",
        "POST.",
        f"{SANDBOX}/test_apns_headers.py::test_only_post_is_allowed",
    ),
    Elsewhere(
        "`apns-topic`",
        "The `app` of the device, or the setting, and the suffix of the push type.",
        f"{SANDBOX}/test_apns_headers.py::test_each_type_has_its_topic",
    ),
    Elsewhere(
        "`apns-id`",
        "A UUID in lower case, the same in every try.",
        f"{SANDBOX}/test_apns_headers.py::test_wrong_header_is_refused",
    ),
    Elsewhere(
        "a header twice",
        "Never sent; Apple refuses it.",
        f"{SANDBOX}/test_apns_headers.py::test_repeated_header_of_any_name_is_refused",
    ),
    Elsewhere(
        "the body",
        "JSON of 1 to 4,096 bytes; a longer text is cut.",
        f"{SANDBOX}/test_apns_headers.py::test_payload_has_4096_bytes_at_most",
    ),
    Elsewhere(
        "channels of Live Activities",
        "Bottlepost sends to devices, and neither creates channels nor sends to them. "
        "Its sandbox knows no such address.",
        f"{SANDBOX}/test_apns_headers.py::test_other_paths_are_bad",
    ),
)
