"""One conversation on an iPhone, an iPhone behind FCM and an Android phone.

The sandbox refuses what Apple and Google would refuse, and shows what they were sent.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from models import kinds
from models.kinds import apns as rules
from models.pushes import Target
from notifier.engine.pushes import Pushes
from notifier.engine.tally import TargetBatch
from notifier.outcome import Outcome
from tests.support.notifications import make_notification, make_target
from tests.support.sandbox import Sandbox
from tests.support.sandbox_provider import SandboxProvider

AVATAR = "https://chat.example/ada.png"
MESSAGE = {
    "patterns": {
        "default": {"title": "{sender}", "body": "{text}"},
        "de": {"title": "{sender} schreibt"},
        "ja": {"title": "{sender}さん"},
    },
    "apns": {"aps": {"category": "CHAT", "mutable-content": 1}},
    "fcm": {
        "android": {"notification": {"channel_id": "chats", "color": "#aabbcc"}},
        "apns": {"payload": {"aps": {"category": "CHAT", "mutable-content": 1}}},
    },
}
MENTION = {
    "patterns": {
        "default": {"title": "{sender} means you"},
        "de": {"title": "{sender} hat dich erwähnt"},
        "ja": {"title": "{sender}さんがあなたに"},
    },
    "apns": {"aps": {"interruption-level": "time-sensitive"}},
    "fcm": {
        "android": {"notification": {"channel_id": "mentions"}},
        "apns": {"payload": {"aps": {"interruption-level": "time-sensitive"}}},
    },
}
TITLES = {
    ("de", False): "Ada schreibt",
    ("ja", False): "Adaさん",
    ("de", True): "Ada hat dich erwähnt",
    ("ja", True): "Adaさんがあなたに",
}
# user → locale; users 3 and 4 are mentioned.
OWNERS = {1: "de-AT", 2: "ja", 3: "de", 4: "ja-JP"}
MENTIONED = frozenset({3, 4})
CONVERSATION = {
    "sender_id": 9,
    "sender_external_id": "ada",
    "sender_avatar": AVATAR,
    "chat_external_id": "harbour",
    "is_group": True,
}


class Phones:
    """Both providers of the sandbox, as the engine pushes to them."""

    def __init__(self, sandbox: Sandbox, run_dir: Path) -> None:
        self.sandbox = sandbox
        self._providers = [
            SandboxProvider(sandbox, name, run_dir) for name in ("apns", "fcm")
        ]

    async def push(self, targets: Sequence[Target], **changes: Any) -> list[str]:
        """Push a message to all of them; the kinds of the outcomes, by device."""
        channels = {each.platform: each.channel for each in self._providers}
        batch = TargetBatch(targets, is_retry=False)
        outcomes: dict[int, Outcome] = {}

        def report(_: TargetBatch, some: Sequence[Target], outcome: Outcome) -> None:
            batch.add([target.device_id for target in some], outcome)
            outcomes.update((target.device_id, outcome) for target in some)

        pushes = Pushes(make_notification(**changes), channels)
        await pushes.push(batch, targets, report)
        return [str(outcomes[target.device_id].kind) for target in targets]

    def pushed(self) -> dict[str, dict[str, Any]]:
        """What the sandbox was sent, by the address of the device."""
        return {push["token"]: push for push in self.sandbox.inbox()}

    async def aclose(self) -> None:
        for provider in self._providers:
            await provider.aclose()


@pytest.fixture
async def phones(fresh_sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[Phones]:
    async with aclosing(Phones(fresh_sandbox, tmp_path)) as found:
        yield found


def fid(number: int) -> str:
    return f"c{number:021d}"


def devices() -> list[Target]:
    """An iPhone and two phones behind FCM for each of the owners."""
    return [
        make_target(
            user * 10 + n,
            token,
            user_id=user,
            platform=platform,
            locale=locale,
            badge=user,
        )
        for user, locale in OWNERS.items()
        for n, (platform, token) in enumerate(
            [("apns", f"aa{user:02x}"), ("fcm", f"fcm:{user}"), ("fcm", fid(user))]
        )
    ]


async def test_each_phone_shows_the_message_in_its_language(phones: Phones) -> None:
    outcomes = await phones.push(
        devices(),
        **CONVERSATION,
        mentions=MENTIONED,
        definition=kinds.check(MESSAGE),
        mention_definition=kinds.check(MENTION),
    )

    assert set(outcomes) == {"accepted"}
    pushed = phones.pushed()
    for user, locale in OWNERS.items():
        is_mentioned = user in MENTIONED
        title = TITLES[locale[:2], is_mentioned]
        on_apple = pushed[f"aa{user:02x}"]["payload"]
        for address in (f"fcm:{user}", fid(user)):
            behind_google = pushed[address]["payload"]
            # What Android draws.
            assert behind_google["notification"] == {
                "title": "Harbour",
                "body": f"{title}: Ship ahoy",
            }
            shown = behind_google["android"]["notification"]
            channel = "mentions" if is_mentioned else "chats"
            assert shown["channel_id"] == channel
            assert shown["notification_count"] == user
            # What an iPhone draws.
            assert behind_google["apns"]["payload"] == on_apple
            told = json.loads(behind_google["data"]["bottlepost"])
            assert told == on_apple["bottlepost"]
        aps = on_apple["aps"]
        assert aps["alert"] == {
            "title": title,
            "subtitle": "Harbour",
            "body": "Ship ahoy",
        }
        assert ("interruption-level" in aps) == is_mentioned
        assert on_apple["bottlepost"] == {
            "conversation": 3,
            "message": 7,
            "seq": 5,
            "sender": {
                "id": 9,
                "external_id": "ada",
                "name": "Ada",
                "avatar": AVATAR,
            },
            "chat": {"external_id": "harbour", "name": "Harbour", "group": True},
            **({"mentioned": True} if is_mentioned else {}),
        }


async def test_without_a_kind_all_phones_learn_who_wrote_it_and_where(
    phones: Phones,
) -> None:
    await phones.push(devices(), **CONVERSATION, mentions=MENTIONED)

    for address, push in phones.pushed().items():
        payload = push["payload"]
        if push["platform"] == "apns":
            told = payload["bottlepost"]
            assert payload["aps"]["alert"]["subtitle"] == "Harbour"
        else:
            told = json.loads(payload["data"]["bottlepost"])
            assert payload["notification"]["title"] == "Harbour"
            assert payload["notification"]["body"] == "Ada: Ship ahoy"
        assert told["sender"]["avatar"] == AVATAR
        assert ("mentioned" in told) == (int(address[-1]) in MENTIONED)


async def test_an_installation_id_is_the_address_where_there_is_one(
    phones: Phones,
) -> None:
    outcomes = await phones.push(devices())

    assert set(outcomes) == {"accepted"}
    pushed = phones.pushed()
    for user in OWNERS:
        assert pushed[fid(user)]["payload"]["fid"] == fid(user)
        assert pushed[f"fcm:{user}"]["payload"]["token"] == f"fcm:{user}"


async def test_an_app_that_draws_for_itself_gets_all_of_it_at_once(
    phones: Phones,
) -> None:
    definition = kinds.check({"fcm": {"data_only": True}})

    outcomes = await phones.push(devices(), **CONVERSATION, definition=definition)

    assert set(outcomes) == {"accepted"}
    payload = phones.pushed()["fcm:1"]["payload"]
    assert "notification" not in payload
    assert payload["android"]["priority"] == "high"
    assert payload["data"]["title"] == "Ada"
    assert payload["data"]["subtitle"] == "Harbour"
    assert payload["data"]["body"] == "Ship ahoy"
    told = json.loads(payload["data"]["bottlepost"])
    assert (told["tag"], told["badge"]) == ("message-7", 1)


APS = {
    "alert": {
        "title-loc-key": "TITLE",
        "title-loc-args": ["{sender}"],
        "subtitle-loc-key": "SUBTITLE",
        "subtitle-loc-args": ["{conversation}"],
        "loc-key": "BODY",
        "loc-args": ["{text}", "{data.room}"],
        "launch-image": "call.png",
    },
    "sound": {"critical": 1, "name": "horn.caf", "volume": 0.5},
    "thread-id": "room-{data.room}",
    "category": "CALL",
    "content-available": 1,
    "mutable-content": 1,
    "target-content-id": "scene-{conversation.external_id}",
    "interruption-level": "critical",
    "relevance-score": 0.5,
    "filter-criteria": "work",
}
# Nearly every field at once.
CROWDED = {
    "apns": {
        "headers": {"priority": 5, "expiration": 0, "collapse_id": "call-{data.room}"},
        "aps": APS,
        "payload": {"room": {"name": "{data.room}"}},
    },
    "fcm": {
        "notification": {"image": "https://chat.example/{data.room}.png"},
        "android": {
            "collapse_key": "calls",
            "priority": "high",
            "ttl": "30.5s",
            "direct_boot_ok": True,
            "bandwidth_constrained_ok": True,
            "restricted_satellite_ok": True,
            "data": {"room": "{data.room}"},
            "fcm_options": {"analytics_label": "calls"},
            "notification": {
                "title_loc_key": "title",
                "title_loc_args": ["{sender}"],
                "body_loc_key": "body",
                "body_loc_args": ["{text}"],
                "icon": "phone",
                "color": "#00ff00",
                "sound": "horn",
                "tag": "room-{data.room}",
                "click_action": "ANSWER",
                "channel_id": "calls",
                "ticker": "{sender}: {text}",
                "sticky": True,
                "local_only": True,
                "event_time": "2026-01-01T00:00:00Z",
                "notification_priority": "PRIORITY_MAX",
                "vibrate_timings": ["0s", "0.5s"],
                "light_settings": {
                    "color": {"red": 1, "green": 0, "blue": 0, "alpha": 1},
                    "light_on_duration": "1s",
                    "light_off_duration": "2s",
                },
                "visibility": "PRIVATE",
                "proxy": "DENY",
            },
        },
        "apns": {
            "headers": {"apns-priority": "5", "apns-collapse-id": "room"},
            "payload": {"aps": APS, "room": "{data.room}"},
            "fcm_options": {"image": "https://chat.example/i.png"},
        },
        "webpush": {
            "headers": {"Urgency": "high"},
            "fcm_options": {"link": "https://chat.example/{data.room}"},
        },
        "fcm_options": {"analytics_label": "calls"},
    },
}


async def test_a_kind_may_fill_every_field(phones: Phones) -> None:
    outcomes = await phones.push(
        devices()[:3],
        **CONVERSATION,
        data={"room": "blue"},
        definition=kinds.check(CROWDED),
    )

    assert outcomes == ["accepted"] * 3
    pushed = phones.pushed()
    assert pushed["aa01"]["headers"]["apns-collapse-id"] == "call-blue"
    assert pushed["aa01"]["payload"]["aps"]["alert"]["loc-args"] == [
        "Ship ahoy",
        "blue",
    ]
    android = pushed["fcm:1"]["payload"]["android"]["notification"]
    assert android["ticker"] == "Ada: Ship ahoy"
    assert android["image"] == "https://chat.example/blue.png"


async def test_a_text_of_any_length_fits_with_every_field(phones: Phones) -> None:
    outcomes = await phones.push(
        devices()[:3],
        **CONVERSATION,
        text="🚢" * 8000,
        data={"room": "blue"},
        definition=kinds.check({**CROWDED, **MESSAGE}),
    )

    assert outcomes == ["accepted"] * 3


# The rest of the kind for each push type that carries no message to read.
RAW: dict[str, dict[str, Any]] = {
    "voip": {"aps": {"alert": {"title": "Call"}}, "payload": {"call": "7"}},
    "complication": {"payload": {"unread": 3}},
    "fileprovider": {"payload": {"container-identifier": "root", "domain": "d"}},
    "location": {},
    "pushtotalk": {"payload": {"speaker": "{sender}"}},
    "liveactivity": {"aps": {"event": "update", "content-state": {"left": 3}}},
    "widgets": {"aps": {"content-changed": True}},
    "controls": {"aps": {"content-changed": True}},
    "mdm": {"payload": {"mdm": "magic"}},
}


def test_every_push_type_is_tried() -> None:
    assert RAW.keys() == rules.RAW


@pytest.mark.parametrize("push_type", RAW)
async def test_a_push_type_has_its_header_and_its_topic(
    phones: Phones, push_type: str
) -> None:
    block = {"headers": {"push_type": push_type}, **RAW[push_type]}
    definition = kinds.check({"apns": block})

    outcomes = await phones.push(
        [make_target(1, "aa01"), make_target(2, "aa02", environment="sandbox")],
        **CONVERSATION,
        definition=definition,
    )

    assert outcomes == ["accepted"] * 2
    for push in phones.pushed().values():
        headers = push["headers"]
        assert headers["apns-push-type"] == push_type
        topic = headers["apns-topic"].removesuffix(rules.SUFFIXES[push_type])
        assert headers["apns-topic"] == topic + rules.SUFFIXES[push_type]


async def test_a_device_may_be_registered_with_the_whole_topic(phones: Phones) -> None:
    definition = kinds.check({"apns": {"headers": {"push_type": "voip"}}})
    await phones.push([make_target(1, "aa01")], definition=definition)
    topic = phones.pushed()["aa01"]["headers"]["apns-topic"]

    outcomes = await phones.push(
        [make_target(2, "aa02", app=topic)], definition=definition
    )

    assert outcomes == ["accepted"]
    assert phones.pushed()["aa02"]["headers"]["apns-topic"] == topic
