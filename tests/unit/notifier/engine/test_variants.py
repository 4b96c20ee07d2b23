"""Which look a device gets, and how often a look is rendered."""

from collections.abc import Sequence
from typing import Any

import pytest

from models.pushes import READ, WITHDRAW, Notification, Target
from notifier.channels import Report
from notifier.engine import redact, variants
from notifier.engine.pushes import Pushes
from notifier.engine.tally import TargetBatch
from notifier.outcome import ACCEPTED, Kind, Outcome
from tests.support.notifications import make_notification, make_target

PATTERNS = {
    "default": {"title": "{sender} in {conversation}", "body": "{text}!"},
    "de": {
        "title": "{sender} schreibt",
        "body": {"count": "members", "one": "einer", "other": "{members} alle"},
    },
    "de-AT": {"title": "Servus von {sender}"},
    "zh-Hant": {"body": "{text}。"},
}
DEFINITION = {"patterns": PATTERNS}


def resolve(
    locale: str | None = None,
    *,
    platform: str = "apns",
    mentioned: bool = False,
    **changes: Any,
) -> Notification:
    notification = make_notification(**{"definition": DEFINITION} | changes)
    return variants.resolve(notification, platform, locale, is_mentioned=mentioned)


def texts(found: Notification) -> tuple[str, str, str]:
    assert found.shown is not None
    return found.shown.title, found.shown.subtitle, found.shown.body


# -- texts


@pytest.mark.parametrize(
    ("locale", "title", "body"),
    [
        (None, "Ada in Harbour", "Ship ahoy!"),
        ("fr", "Ada in Harbour", "Ship ahoy!"),
        ("de", "Ada schreibt", "3 alle"),
        ("de-CH", "Ada schreibt", "3 alle"),
        # What Austria has not is German.
        ("de-AT", "Servus von Ada", "3 alle"),
        ("zh-TW", "Ada in Harbour", "Ship ahoy。"),
        ("not a locale", "Ada in Harbour", "Ship ahoy!"),
    ],
)
def test_the_language_of_the_device_chooses_the_pattern(
    locale: str | None, title: str, body: str
) -> None:
    found = resolve(locale, members=3)

    # The kind says nothing of the subtitle.
    assert texts(found) == (title, "Harbour", body)


@pytest.mark.parametrize(("sender", "title"), [("Ada", "Ada"), ("", "Harbour")])
def test_a_notification_is_never_empty(sender: str, title: str) -> None:
    look = {"patterns": {"default": {"title": "{data.question}", "body": ""}}}

    found = resolve(definition=look, sender_name=sender)

    assert texts(found) == (title, "Harbour", "")


def test_a_kind_without_patterns_has_the_built_in_texts() -> None:
    found = resolve("de", definition={"apns": {"aps": {"sound": "horn"}}})

    assert texts(found) == ("Ada", "Harbour", "Ship ahoy")
    assert found.shown is not None
    assert found.shown.block == {"aps": {"sound": "horn"}}


def test_no_definition_is_the_built_in_look() -> None:
    notification = make_notification()

    assert (
        variants.resolve(notification, "apns", "de", is_mentioned=False) == notification
    )


def test_values_stand_in_every_text_of_the_block() -> None:
    block = {
        "aps": {
            "thread-id": "{conversation.external_id}",
            "alert": {"loc-args": ["{sender}", "{data.room}"]},
        },
        "payload": {
            "who": "{sender.external_id}",
            "n": 3,
            "picture": {"image": "https://e.org/{data.room}.png"},
        },
    }

    found = resolve(
        definition={"apns": block},
        chat_external_id="harbour",
        sender_external_id="ada",
        data={"room": "a/b"},
    )

    assert found.shown is not None
    assert found.shown.block == {
        "aps": {"thread-id": "harbour", "alert": {"loc-args": ["Ada", "a/b"]}},
        "payload": {
            "who": "ada",
            "n": 3,
            "picture": {"image": "https://e.org/a%2Fb.png"},
        },
    }


def test_only_the_body_is_as_long_as_the_message() -> None:
    text = "x" * 3000
    definition = {
        "patterns": {"default": {"title": "{text}", "subtitle": "{text}"}},
        "apns": {"payload": {"text": "{text}"}},
    }

    found = resolve(definition=definition, text=text)

    title, subtitle, body = texts(found)
    assert found.shown is not None
    assert (len(title), len(subtitle)) == (200, 200)
    assert body == text
    assert len(found.shown.block["payload"]["text"]) == 300


def test_text_that_is_no_unicode_can_be_rendered() -> None:
    block = {"payload": {"text": "{text}"}}

    found = resolve(
        definition={**DEFINITION, "apns": block}, text="a\ud800", sender_name="\udfff"
    )

    assert texts(found) == ("? in Harbour", "Harbour", "a?!")
    assert found.shown is not None
    assert found.shown.block == {"payload": {"text": "a?"}}


def test_a_mail_has_its_texts_in_the_best_language_and_html_is_escaped() -> None:
    definition = {
        "email": {"subject": "{sender}", "html": "<b>{text}</b>"},
        "patterns": {"default": {}, "de": {"email": {"subject": "Von {sender}"}}},
    }

    found = resolve("de-AT", platform="email", definition=definition, text="<&>")

    assert found.shown is not None
    assert found.shown.block == {
        "subject": "Von Ada",
        "html": "<b>&lt;&amp;&gt;</b>",
    }


# -- kinds, mentions and changes


def test_for_whom_it_mentions_the_kind_for_mentions_takes_its_place() -> None:
    mention = {"patterns": {"default": {"title": "{sender} means you"}}}

    for_all = resolve(mention_definition=mention)
    for_one = resolve(mention_definition=mention, mentioned=True)

    assert texts(for_all)[0] == "Ada in Harbour"
    assert texts(for_one)[0] == "Ada means you"
    assert (for_all.is_mentioned, for_one.is_mentioned) == (False, True)


def test_what_the_service_sets_for_a_message_comes_before_its_kind() -> None:
    definition = {"apns": {"aps": {"sound": "horn", "category": "A"}}, **DEFINITION}
    changes = {
        "patterns": {"default": {"title": "Once"}},
        "apns": {"aps": {"sound": None, "category": "B"}},
    }

    found = resolve(definition=definition, changes=changes)

    assert texts(found)[0] == "Once"
    assert found.shown is not None
    assert found.shown.block == {"aps": {"category": "B"}}


def test_the_service_may_change_the_built_in_look() -> None:
    found = resolve(definition=None, changes={"apns": {"aps": {"sound": "x"}}})

    assert found.shown is not None
    assert texts(found) == ("Ada", "Harbour", "Ship ahoy")


def test_a_read_mark_has_no_look() -> None:
    assert resolve(kind=READ).shown is None


# -- rendering


TOO_LONG = "too long"


class CountingChannel:
    """Accepts what it can render, and keeps it."""

    def __init__(self) -> None:
        self.rendered: list[Notification] = []
        self.sent: list[tuple[Notification, int]] = []

    def render(self, notification: Notification) -> Notification:
        if notification.shown and notification.shown.title == TOO_LONG:
            raise ValueError("too long")
        self.rendered.append(notification)
        return notification

    async def send(
        self, rendered: Notification, targets: Sequence[Target], report: Report
    ) -> None:
        self.sent += [(rendered, target.device_id) for target in targets]
        report(targets, ACCEPTED)

    awaits_token = False

    async def close(self) -> None:
        pass


async def push(
    notification: Notification, *batches: Sequence[Target]
) -> tuple[CountingChannel, list[int]]:
    channel = CountingChannel()
    pushes = Pushes(notification, {"apns": channel, "fcm": channel, "email": channel})
    accepted: list[int] = []

    def report(batch: TargetBatch, some: Sequence[Target], outcome: Outcome) -> None:
        batch.add([target.device_id for target in some], outcome)
        if outcome.kind is Kind.ACCEPTED:
            accepted.extend(target.device_id for target in some)

    for targets in batches:
        await pushes.push(TargetBatch(targets, is_retry=False), targets, report)
    assert pushes.under_way == 0
    return channel, sorted(accepted)


LOCALES = ["de", "de-AT", "de-CH", "de-DE", "fr", "it", "ja", None]


def devices(platform: str = "apns") -> list[Target]:
    return [
        make_target(n, platform=platform, locale=LOCALES[n % len(LOCALES)])
        for n in range(1, 81)
    ]


async def test_without_a_kind_a_job_is_rendered_once_for_each_platform() -> None:
    notification = make_notification(sender_id=9)
    targets = [
        *devices(),
        *(t._replace(device_id=t.device_id + 100, platform="fcm") for t in devices()),
    ]

    channel, accepted = await push(notification, targets)

    assert channel.rendered == [notification] * 2
    assert accepted == sorted(t.device_id for t in targets)


async def test_a_look_is_rendered_once_however_many_locales_share_it() -> None:
    channel, accepted = await push(
        make_notification(definition=DEFINITION), devices(), devices()
    )

    titles = [n.shown.title for n in channel.rendered if n.shown]
    assert sorted(titles) == ["Ada in Harbour", "Ada schreibt", "Servus von Ada"]
    assert len(accepted) == 160


async def test_each_device_gets_the_look_of_its_language() -> None:
    channel, _ = await push(make_notification(definition=DEFINITION), devices())

    for notification, device_id in channel.sent:
        locale = LOCALES[device_id % len(LOCALES)]
        expected = {"de-AT": "Servus von Ada"}.get(
            str(locale),
            "Ada schreibt" if str(locale).startswith("de") else "Ada in Harbour",
        )
        assert notification.shown is not None
        assert notification.shown.title == expected


async def test_a_look_that_cannot_be_sent_costs_the_others_nothing() -> None:
    patterns = {"default": {}, "de": {"title": TOO_LONG}}

    _, accepted = await push(
        make_notification(definition={"patterns": patterns}), devices()
    )

    assert accepted == [
        target.device_id
        for target in devices()
        if not str(target.locale).startswith("de")
    ]


async def test_whom_a_message_mentions_gets_a_payload_of_its_own() -> None:
    channel, _ = await push(
        make_notification(sender_id=9, mentions=frozenset({5, 6, 1000})), devices()
    )

    mentioned = {device for n, device in channel.sent if n.is_mentioned}
    assert mentioned == {5, 6}
    assert len(channel.rendered) == 2


async def test_mails_and_stand_ins_are_in_the_language_of_the_device() -> None:
    hidden = redact.redact(make_notification(), "sender")

    channel, _ = await push(hidden, devices())
    mails, _ = await push(make_notification(), devices("email"))

    assert {n.locale for n in channel.rendered} == {"de", "fr", "ja", "en"}
    assert len({n.text for n in channel.rendered}) == 4
    assert {n.locale for n in mails.rendered} == {"de", "fr", "ja", "en"}


async def test_a_withdrawal_has_the_look_of_its_message() -> None:
    channel, _ = await push(
        make_notification(kind=WITHDRAW, definition=DEFINITION), devices()[:1]
    )

    [rendered] = channel.rendered
    assert rendered.shown is not None
