"""The demo conversation: three people with four devices, kept between runs."""

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from demo.api import Api, RequestRefused
from demo.choices import write_secret

NAME = "Lighthouse"


class DemoDevice(NamedTuple):
    """A phone or tablet; its token is the same in every run."""

    owner: str
    model: str
    platform: str

    @property
    def token(self) -> str:
        digest = hashlib.sha256(f"{self.owner}'s {self.model}".encode()).hexdigest()
        # Apple's tokens are hexadecimal, Google's start with an instance id.
        if self.platform == "apns":
            return digest
        return f"{self.owner}-{self.model}-{digest[:12]}:APA91b{digest}"


DEVICES = (
    DemoDevice("Ada", "iPhone", "apns"),
    DemoDevice("Bo", "iPad", "apns"),
    DemoDevice("Bo", "Pixel", "fcm"),
    DemoDevice("Cleo", "Galaxy", "fcm"),
)


@dataclass(frozen=True)
class Person:
    """A user and their API token."""

    id: int
    name: str
    token: str


@dataclass(frozen=True)
class DemoConversation:
    """The conversation and its members, as saved for the next run."""

    id: int
    people: tuple[Person, ...]

    @property
    def sender(self) -> Person:
        return self.people[0]


def prepare(api: Api, service_key: str, saved: Path) -> DemoConversation:
    """The conversation of the last run, or a new one if the server does not know it."""
    conversation = _load(saved)
    if conversation is None or not _is_known(api, conversation):
        conversation = _create(api, service_key)
        write_secret(saved, json.dumps(asdict(conversation), indent=2) + "\n")
    _register_devices(api, conversation)
    return conversation


def _load(saved: Path) -> DemoConversation | None:
    # A damaged file counts as none.
    with suppress(OSError, ValueError, TypeError, KeyError):
        kept = json.loads(saved.read_text())
        people = tuple(Person(**person) for person in kept["people"])
        if [p.name for p in people] == _names():
            return DemoConversation(int(kept["id"]), people)
    return None


def _is_known(api: Api, conversation: DemoConversation) -> bool:
    """Whether all tokens are valid and all people are members."""
    try:
        for person in conversation.people:
            api.call("GET", f"/groupchat/{conversation.id}", person.token)
    except RequestRefused:
        return False
    return True


def _create(api: Api, service_key: str) -> DemoConversation:
    users = [api.call("POST", "/users", service_key, {"name": n}) for n in _names()]
    people = tuple(Person(u["id"], u["name"], u["token"]) for u in users)
    members = [person.id for person in people]
    # By the service, which may add members whatever the settings let users do.
    chat = {"name": NAME, "owner": members[0], "members": members}
    created = api.call("POST", "/groupchat", service_key, chat)
    return DemoConversation(created["id"], people)


def _register_devices(api: Api, conversation: DemoConversation) -> None:
    """Register the devices again, which enables those that were disabled."""
    tokens = {person.name: person.token for person in conversation.people}
    for device in DEVICES:
        body = {"platform": device.platform, "token": device.token}
        api.call("POST", "/devices", tokens[device.owner], body)


def _names() -> list[str]:
    return list(dict.fromkeys(device.owner for device in DEVICES))
