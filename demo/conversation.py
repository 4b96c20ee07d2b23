"""The demo conversation: three people, four devices; made once, then found again."""

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from demo.api import Api, Refused
from demo.choices import write_secret

NAME = "Lighthouse"


class Device(NamedTuple):
    """A phone or tablet; its token is the same on every run."""

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
    Device("Ada", "iPhone", "apns"),
    Device("Bo", "iPad", "apns"),
    Device("Bo", "Pixel", "fcm"),
    Device("Cleo", "Galaxy", "fcm"),
)


@dataclass(frozen=True)
class Person:
    """A user of the server, with a token to call it."""

    id: int
    name: str
    token: str


@dataclass(frozen=True)
class Conversation:
    """What is remembered from run to run."""

    id: int
    people: tuple[Person, ...]

    @property
    def sender(self) -> Person:
        return self.people[0]


def prepare(api: Api, service_key: str, memory: Path) -> Conversation:
    """The conversation of the last run if the server still has it, or a new one."""
    conversation = _remembered(memory)
    if conversation is None or not _is_known(api, conversation):
        conversation = _create(api, service_key)
        write_secret(memory, json.dumps(asdict(conversation), indent=2) + "\n")
    _register_devices(api, conversation)
    return conversation


def _remembered(memory: Path) -> Conversation | None:
    # A file that does not hold what we wrote is as good as none.
    with suppress(OSError, ValueError, TypeError, KeyError):
        kept = json.loads(memory.read_text())
        people = tuple(Person(**person) for person in kept["people"])
        if [p.name for p in people] == _names():
            return Conversation(int(kept["id"]), people)
    return None


def _is_known(api: Api, conversation: Conversation) -> bool:
    """Everybody's token is valid, and everybody is a member."""
    try:
        for person in conversation.people:
            api.call("GET", f"/groupchat/{conversation.id}", person.token)
    except Refused:
        return False
    return True


def _create(api: Api, service_key: str) -> Conversation:
    users = [api.call("POST", "/users", service_key, {"name": n}) for n in _names()]
    people = tuple(Person(u["id"], u["name"], u["token"]) for u in users)
    chat = {"name": NAME, "members": [person.id for person in people]}
    created = api.call("POST", "/groupchat", people[0].token, chat)
    return Conversation(created["id"], people)


def _register_devices(api: Api, conversation: Conversation) -> None:
    """Registering again changes nothing, and revives a device that was disabled."""
    tokens = {person.name: person.token for person in conversation.people}
    for device in DEVICES:
        body = {"platform": device.platform, "token": device.token}
        api.call("POST", "/devices", tokens[device.owner], body)


def _names() -> list[str]:
    return list(dict.fromkeys(device.owner for device in DEVICES))
