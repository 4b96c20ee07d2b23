"""Devices that have not answered an earlier message of their chat yet.

A later message goes to a device when the device has answered the earlier one, or has
been silent for SILENCE_S. The other devices of the chat do not wait for it. A push that
waits for a provider token is not with the device yet, which is no silence.
"""

import asyncio
from collections.abc import Callable, Iterable

from models.pushes import Target

# After this time without an answer, a device's next message need not wait for it.
SILENCE_S = 3.0
# How often a push looks whether its channel still waits for a provider token.
TOKEN_POLL_S = 0.1

# Whether pushes to these devices may wait for a provider token.
AwaitToken = Callable[[Iterable[Target]], bool]


class UnansweredPush:
    """The newest push to a device, handed to its channel or still held back."""

    def __init__(self, awaits_token: Callable[[], bool], *, is_sent: bool) -> None:
        loop = asyncio.get_running_loop()
        self._sent = asyncio.Event()
        if is_sent:
            self._sent.set()
        self._answered: asyncio.Future[None] = loop.create_future()
        self._silent_at = loop.time() + SILENCE_S
        self._awaits_token = awaits_token
        # At the last look.
        self._had_no_token = awaits_token()

    async def wait(self) -> None:
        """Return when the device has answered, or has been silent too long.

        Never before the push is sent, or a later message would go first.
        """
        await self._sent.wait()
        while not self._answered.done():
            left_s = self._silent_at - asyncio.get_running_loop().time()
            if left_s <= 0:
                left_s = self._prolong()
                if not left_s:
                    return
            await asyncio.wait([self._answered], timeout=left_s)

    def _prolong(self) -> float:
        """How much longer to wait, because its silence begins with the token."""
        had_no_token, self._had_no_token = self._had_no_token, self._awaits_token()
        if self._had_no_token:
            return TOKEN_POLL_S
        if not had_no_token:
            return 0.0
        self._silent_at = asyncio.get_running_loop().time() + SILENCE_S
        return SILENCE_S

    def sent_behind(self, before: "UnansweredPush") -> None:
        """Begin the silence anew, unless the device was silent about the one before.

        Call it just before the push is sent.
        """
        self._sent.set()
        self._had_no_token = self._awaits_token()
        if before._answered.done():
            self._silent_at = asyncio.get_running_loop().time() + SILENCE_S
        else:
            self._silent_at = before._silent_at

    def end(self) -> None:
        self._sent.set()
        if not self._answered.done():
            self._answered.set_result(None)


class Stragglers:
    """The unanswered pushes of all chats whose next message has begun; one per engine.

    There is one for each device, that of its newest message.
    """

    def __init__(self) -> None:
        self._by_chat: dict[int, dict[int, UnansweredPush]] = {}

    def has_some(self, chat_id: int) -> bool:
        """Whether any device of the chat has an unanswered push."""
        return chat_id in self._by_chat

    def of(self, chat_id: int, device_id: int) -> UnansweredPush | None:
        """What the next push to this device waits for, if anything."""
        return self._by_chat.get(chat_id, {}).get(device_id)

    def add(self, chat_id: int, device_id: int, push: UnansweredPush) -> None:
        """The device's next push waits for this one."""
        self._by_chat.setdefault(chat_id, {})[device_id] = push

    def end(self, chat_id: int, device_id: int, push: UnansweredPush) -> None:
        """The device has answered, or the push was given up."""
        push.end()
        devices = self._by_chat.get(chat_id, {})
        if devices.get(device_id) is push:
            del devices[device_id]
            if not devices:
                del self._by_chat[chat_id]


class AwaitedPushes:
    """The pushes of one job whose answers later messages wait for."""

    def __init__(
        self, stragglers: Stragglers, chat_id: int, await_token: AwaitToken
    ) -> None:
        self._stragglers = stragglers
        self._chat_id = chat_id
        self._await_token = await_token
        self._by_device: dict[int, UnansweredPush] = {}

    def __contains__(self, target: Target) -> bool:
        return target.device_id in self._by_device

    def hold_back(self, target: Target) -> tuple[UnansweredPush, UnansweredPush] | None:
        """An earlier push to wait for, and ours; None if it may be sent at once."""
        before = self._stragglers.of(self._chat_id, target.device_id)
        return None if before is None else (before, self._add(target, is_sent=False))

    def add_sent(self, targets: Iterable[Target]) -> None:
        """Later messages wait for these devices."""
        for target in targets:
            self._add(target, is_sent=True)

    def _add(self, target: Target, *, is_sent: bool) -> UnansweredPush:
        push = UnansweredPush(lambda: self._await_token([target]), is_sent=is_sent)
        self._by_device[target.device_id] = push
        self._stragglers.add(self._chat_id, target.device_id, push)
        return push

    def end(self, device_ids: Iterable[int]) -> None:
        """These have answered."""
        # Nearly always there are none.
        for device_id in device_ids if self._by_device else ():
            if push := self._by_device.pop(device_id, None):
                self._stragglers.end(self._chat_id, device_id, push)

    def end_all(self) -> None:
        """The job waits for no answer any more."""
        self.end(list(self._by_device))
