"""Devices that have not answered an earlier message of their chat yet.

A later message goes to a device when the device has answered the earlier one, or has
been silent for SILENCE_S. The other devices of the chat do not wait for it.
"""

import asyncio

# After this time without an answer, a device's next message need not wait for it.
SILENCE_S = 3.0


class UnansweredPush:
    """The newest push to a device, sent or still held back."""

    def __init__(self, *, is_sent: bool) -> None:
        loop = asyncio.get_running_loop()
        self._sent = asyncio.Event()
        if is_sent:
            self._sent.set()
        self._answered: asyncio.Future[None] = loop.create_future()
        self._silent_at = loop.time() + SILENCE_S

    async def wait(self) -> None:
        """Return when the device has answered, or has been silent too long.

        Never before the push is sent, or a later message would go first.
        """
        await self._sent.wait()
        left_s = self._silent_at - asyncio.get_running_loop().time()
        if left_s > 0:
            await asyncio.wait([self._answered], timeout=left_s)

    def sent_behind(self, before: "UnansweredPush") -> None:
        """Begin the silence anew, unless the device was silent about the one before.

        Call it just before the push is sent.
        """
        self._sent.set()
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

    def of(self, chat_id: int, device_id: int) -> UnansweredPush | None:
        """What the next push to this device waits for, if anything."""
        return self._by_chat.get(chat_id, {}).get(device_id)

    def has_any(self, chat_id: int) -> bool:
        """Whether a device of the chat has not answered."""
        return chat_id in self._by_chat

    def add(self, chat_id: int, device_id: int, *, is_sent: bool) -> UnansweredPush:
        """The device's next push waits for this one."""
        push = UnansweredPush(is_sent=is_sent)
        self._by_chat.setdefault(chat_id, {})[device_id] = push
        return push

    def end(self, chat_id: int, device_id: int, push: UnansweredPush) -> None:
        """The device has answered, or the push was given up."""
        push.end()
        devices = self._by_chat.get(chat_id, {})
        if devices.get(device_id) is push:
            del devices[device_id]
            if not devices:
                del self._by_chat[chat_id]
