"""What a kind says to browsers: the options of a notification, and declarative ones."""

from typing import Any

from tests.support.kind_fields import Elsewhere, Field

TEXT: tuple[Any, ...] = (5, ["a"], {})
BAD_LINKS = (
    "http://example.org/",
    "https://{text}/",
    "{data.link}",
    "javascript:alert(1)",
    "//example.org/",
    "/with a space",
    # Without its value, and as a browser reads it: //example.org.
    "/{data.a}/{data.b}",
    "/\\{data.a}",
    "https://example.org:65536/",
    "https://.example/",
    5,
)
LINKS = (
    "https://example.org/a?b={text}",
    "/chat/{conversation.external_id}",
    "a.png",
    "./a/b.png",
    "?chat=1",
    "#chat",
    "{sender.avatar}",
)
OPTION = "webpush.options"
BUTTON = {"action": "open", "title": "{sender}"}


def options(**more: Any) -> dict[str, Any]:
    return {"webpush": {"options": more}}


OPTIONS = (
    Field(
        f"{OPTION}.title",
        "A pattern that takes the place of the kind's title in browsers.",
        ("{sender}",),
        (),
        ("", "{nobody}", 5),
    ),
    Field(
        f"{OPTION}.body",
        "A pattern that takes the place of the kind's body in browsers.",
        ("{text}", ""),
        (),
        ("{nobody}", *TEXT),
    ),
    Field(
        f"{OPTION}.lang",
        "A language such as de or zh-Hant-TW.",
        ("de", "zh-Hant-TW"),
        (),
        ("german", "", 5),
    ),
    Field(
        f"{OPTION}.dir",
        "auto, ltr or rtl.",
        ("auto", "ltr", "rtl"),
        ("up", 5, ""),
    ),
    Field(
        f"{OPTION}.tag",
        "A pattern: it replaces the notification with the same tag (Safari stacks "
        "them). Without it `message-<id>`.",
        ("call", "{conversation.external_id}"),
        (),
        ("{nobody}", *TEXT),
    ),
    *(
        Field(
            f"{OPTION}.{name}",
            f"{what}: an https address, or one on the site of the service worker; no "
            "placeholder may choose the host. `{sender.avatar}` may stand alone.",
            LINKS,
            (),
            BAD_LINKS,
        )
        for name, what in (
            ("navigate", "What a click opens"),
            ("icon", "The picture"),
            ("badge", "The small icon"),
            ("image", "The large picture (Chromium only)"),
        )
    ),
    Field(
        f"{OPTION}.vibrate",
        "A number or a list of numbers, in milliseconds (Chromium only).",
        (200, [200, 100, 200], []),
        ("a", ["a"], {}),
        (-1, [1.5], True),
    ),
    Field(
        f"{OPTION}.vibrate",
        "Not with `silent`.",
        (),
        ([200],),
        beside=options(silent=True),
        about="silent",
    ),
    Field(
        f"{OPTION}.timestamp",
        "Milliseconds since 1970.",
        (0, 1_900_000_000_000),
        ("now", [1]),
        (-1, 1.5),
    ),
    Field(
        f"{OPTION}.renotify",
        "true: a notification that is replaced makes a sound again.",
        (True, False),
        (),
        ("true", 1),
    ),
    Field(
        f"{OPTION}.renotify",
        "It needs a tag.",
        (False,),
        (True,),
        beside=options(tag=""),
        about="empty tag",
    ),
    Field(
        f"{OPTION}.silent",
        "true, false or null.",
        (True, False, None),
        (),
        ("true", 1),
    ),
    Field(
        f"{OPTION}.requireInteraction",
        "true: it stays until the user does something.",
        (True, False),
        (),
        ("true", 1),
    ),
    Field(
        f"{OPTION}.data",
        "Any JSON, whose texts are patterns; as an object without `data` and "
        "`bottlepost`.",
        ({"room": "{conversation}"}, [1, None], "a"),
        (),
        ("{", float("nan"), {"a": ["{nobody}"]}),
    ),
    Field(
        f"{OPTION}.data.bottlepost",
        "Set by Bottlepost: the reference to the message.",
        (),
        unseen=({},),
    ),
    Field(
        f"{OPTION}.data.data",
        "Set by Bottlepost: the data of the message.",
        (),
        unseen=({},),
    ),
    Field(
        f"{OPTION}.actions",
        "A list of at most ten buttons; browsers leave out what they have no room for, "
        "and Safari shows none.",
        ([], [BUTTON], [{**BUTTON, "navigate": "/a", "icon": "/b.png"}]),
        ({}, "a", [5]),
        ([BUTTON] * 11, [{**BUTTON, "own": 1}]),
    ),
    Field(
        f"{OPTION}.actions",
        "A button needs `title` and `action`, which has no placeholders.",
        ([BUTTON],),
        ([{"action": "open"}], [{"title": "Open"}]),
        (
            [{"action": "", "title": "Open"}],
            [{"action": "open", "title": ""}],
            [{"action": "{data.action}", "title": "Open"}],
        ),
        about="parts of a button",
    ),
    Field(
        f"{OPTION}.actions",
        "`navigate` and `icon` of a button are addresses as above.",
        ([{**BUTTON, "navigate": "https://example.org/{text}"}],),
        (),
        ([{**BUTTON, "navigate": "{text}"}], [{**BUTTON, "icon": "http://a/"}]),
        about="addresses of a button",
    ),
)
DECLARATIVE: dict[str, Any] = {
    "webpush": {"declarative": True, "navigate": "https://example.org/"}
}
REQUEST = (
    Field(
        OPTION,
        "All options together have at most 2,048 bytes.",
        (),
        (),
        ({"data": {"a": "x" * 2048}}, {"body": "x" * 2048}),
        about="size",
    ),
    Field(
        "webpush.urgency",
        "very-low, low, normal or high; without it high.",
        ("very-low", "low", "normal", "high"),
        ("loud", ""),
        (5,),
    ),
    Field(
        "webpush.topic",
        "At most 32 ASCII letters, digits, `-` and `_`, but not 1, 5, 9 … of them, "
        "because Apple decodes it. Without it a hash of the message's id.",
        ("call", "ab", "abc", "a" * 32),
        ("", "a", "abcde", "a" * 33, "ä", "a b"),
        (5,),
    ),
    Field(
        "webpush.ttl",
        "Set by Bottlepost: the time for which it pushes the message.",
        (),
        unseen=(60,),
    ),
    Field(
        "webpush.navigate",
        "What a click opens; as `webpush.options.navigate`.",
        LINKS[:3],
        (),
        BAD_LINKS,
    ),
    Field(
        "webpush.options.navigate",
        "Not another one than `webpush.navigate`.",
        ("/a",),
        (),
        ("/b",),
        {"webpush": {"navigate": "/a"}},
        about="beside webpush.navigate",
    ),
)
DECLARED = (
    Field(
        "webpush.declarative",
        "true: Safari shows the push by itself. Bottlepost sets `web_push` (8030), "
        "`mutable` and `app_badge`.",
        (True, False),
        unseen=("true", 1),
        beside={"webpush": {"navigate": "https://example.org/"}},
    ),
    Field(
        "webpush.declarative",
        "It needs an address to open.",
        (False,),
        (True,),
        problem="webpush.navigate",
        about="without navigate",
    ),
    Field(
        "webpush.navigate",
        "It must begin with https://, because WebKit takes no other.",
        ("https://example.org/{conversation.external_id}",),
        ("/chat",),
        ("{sender.avatar}",),
        {"webpush": {"declarative": True}},
        about="declarative",
    ),
    Field(
        "webpush.options.title",
        "WebKit takes no empty title.",
        ("{sender}",),
        ("",),
        (),
        DECLARATIVE,
        about="declarative",
    ),
    *(
        Field(
            f"webpush.options.{name}",
            "WebKit takes a wrong type for an ordinary push.",
            right,
            wrong,
            (),
            DECLARATIVE,
            about="declarative",
        )
        for name, right, wrong in (
            ("dir", ("rtl",), ("up", 5)),
            ("lang", ("de",), (5,)),
            ("body", ("{text}",), (5,)),
            ("tag", ("a",), (5,)),
            ("icon", ("https://example.org/a.png",), (5,)),
            ("silent", (True, False), ("true", 1)),
        )
    ),
    *(
        Field(
            f"webpush.options.{name}",
            "As without `declarative`; WebKit does not read it.",
            (value,),
            (),
            ({"a": 1},),
            DECLARATIVE,
            about="declarative",
        )
        for name, value in (
            ("requireInteraction", True),
            ("renotify", True),
            ("image", "/a.png"),
            ("badge", "/a.png"),
            ("vibrate", [1]),
            ("timestamp", 1),
        )
    ),
    Field(
        "webpush.options.data",
        "As without `declarative`.",
        ({"a": "{text}"},),
        (),
        ({"a": "{"},),
        DECLARATIVE,
        about="declarative",
    ),
    Field(
        "webpush.options.actions",
        "Each has a `navigate` that begins with https://, or Firefox skips it.",
        ([{**BUTTON, "navigate": "https://example.org/"}],),
        (),
        ([BUTTON], [{**BUTTON, "navigate": "/a"}]),
        DECLARATIVE,
        about="declarative",
    ),
    Field(
        "webpush.mutable",
        "Set by Bottlepost: true, so that a service worker may change it.",
        (),
        unseen=(False,),
    ),
    Field(
        "webpush.app_badge",
        "Set by Bottlepost: the number of the user's unread messages.",
        (),
        unseen=(3,),
    ),
)
FIELDS = (*OPTIONS, *REQUEST, *DECLARED)
SANDBOX = "integration/sandbox/browsers/test_webpush.py"
CHANNEL = "unit/notifier/channels/webpush"
HEADER = f"{SANDBOX}::test_wrong_header_is_refused_in_the_services_words"
ELSEWHERE = (
    Elsewhere(
        "`TTL`",
        "Whole seconds, as long as the message is pushed; services cut it.",
        f"{CHANNEL}/test_payload.py::test_a_service_keeps_it_until_the_message_expires",
    ),
    Elsewhere(
        "`X-WNS-Cache-Policy`",
        "`no-cache` for Edge if TTL is 0.",
        f"{CHANNEL}/test_payload.py::test_microsoft_is_told_twice_not_to_keep_a_push",
    ),
    Elsewhere("`Urgency`", "As the kind says.", HEADER),
    Elsewhere("`Topic`", "As the kind says.", HEADER),
    Elsewhere("`Content-Encoding`", "`aes128gcm`.", HEADER),
    Elsewhere(
        "`Content-Type`",
        "`application/octet-stream`; no service looks at it.",
        f"{SANDBOX}::test_what_a_service_does_not_look_at_is_accepted",
    ),
    Elsewhere(
        "`Authorization`",
        "`vapid t=…, k=…`; ES256, for the origin of the endpoint, valid for hours.",
        f"{SANDBOX}::test_wrong_signature_is_refused",
    ),
    Elsewhere(
        "`sub`",
        "The contact of the settings, at a public name.",
        f"{SANDBOX}::test_only_apple_looks_at_the_contact",
    ),
    Elsewhere(
        "the key of the subscription",
        "A subscription for another key never works with ours.",
        f"{SANDBOX}::test_another_key_than_the_subscriptions_is_refused",
    ),
    Elsewhere(
        "the body",
        "4,096 bytes, and fewer for Firefox on phones; a longer text is cut.",
        f"{SANDBOX}::test_a_push_has_a_largest_size",
    ),
    Elsewhere(
        "the endpoint is gone",
        "404 and 410 remove the device.",
        f"{CHANNEL}/test_outcomes.py::test_a_subscription_that_has_ended_is_gone",
    ),
    Elsewhere(
        "too many",
        "429 and 503 are tried later, when the service says.",
        f"{CHANNEL}/test_outcomes.py::test_a_service_is_given_the_pause_it_asks_for",
    ),
    Elsewhere(
        "UnifiedPush",
        "The same request as for a browser.",
        f"{SANDBOX}::test_a_push_is_accepted_and_shown_in_clear",
    ),
    Elsewhere(
        "`web_push`",
        "The number 8030, which makes a push declarative.",
        f"{SANDBOX}::test_a_push_is_shown_only_if_the_browser_takes_it",
    ),
    Elsewhere(
        "`notification`",
        "The object with title, navigate and the options.",
        f"{SANDBOX}::test_a_push_is_shown_only_if_the_browser_takes_it",
    ),
)
