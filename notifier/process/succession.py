"""The change from PushProcesses with older settings to those of this web worker."""

import logging
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from config import Settings
from notifier.process import bell
from notifier.process.bell import Bell
from notifier.process.generation import Membership
from notifier.process.holders import Holder
from notifier.process.slots import Slots

log = logging.getLogger(__name__)

CHECK_S = 0.05
# A PushProcess ends within 12 seconds of SIGTERM, unless it hangs.
LEAVE_S = 12.0
# A killed process has ended after this, unless the kernel itself hangs.
KILL_S = 1.0
# The workers of a newer generation may just be changing: they count as gone after this.
GONE_S = 5.0
CLOSE_S = 1.0


class Succession:
    """Brings a web worker's settings into force, and gives way to newer ones.

    `on_left` is called when a PushProcess with older settings has left its slot, and
    `on_ring` when a worker with older settings has work for one with ours. Both run on
    threads of this object.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._member = Membership(settings)
        self._bell = Bell(self._member.file.directory)
        # The PushProcesses with the newest settings. A dispatcher that has none retires
        # those of `process`, when the dispatcher itself has been changed.
        self.slots = Slots(
            settings.run_dir,
            settings.push_slots,
            number=lambda: self._member.newest_number,
        )
        self._on_left: Callable[[], None] = _ignore
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        # When the last worker with newer settings was missed first.
        self._alone_since: float | None = None

    @property
    def number(self) -> int:
        """The generation of the processes that this worker starts."""
        return self._member.number

    def enter(self) -> None:
        """Bring our settings into force, if they are new; before the first answer."""
        if self._member.has_joined:
            return
        self._member.join()
        with suppress(OSError):
            self._bell.open(self.number)
        if bell.is_heard(self._member.file.directory, below=self.number):
            log.warning(
                "web workers with other settings run in %s, too; pushes have the"
                " settings of this one from now on. Unless this is a rolling restart,"
                " give each server its own BOTTLEPOST_RUN_DIR",
                self._settings.run_dir,
            )
        for holder in self._older_holders():
            _tell_to_leave(holder)

    def start(
        self, *, on_ring: Callable[[], None], on_left: Callable[[], None]
    ) -> None:
        """Start the threads of this process."""
        self._closing = threading.Event()
        self._on_left = on_left
        with suppress(OSError):
            self._bell.open(self.number)
        self._bell.listen(on_ring)
        self._retire()

    def close(self) -> None:
        self._closing.set()
        self._bell.close()
        if self._thread is not None:
            self._thread.join(CLOSE_S)

    def is_outdated(self) -> bool:
        """Whether newer settings are in force, and our engines begin nothing."""
        return self._member.is_outdated

    def leave_to_newer(self, *, wait: bool = True) -> bool:
        """Whether workers with newer settings have to see to the work; rings at them.

        If there is none for some time, our settings are in force again. Without `wait`
        the time passes between the calls.
        """
        while self._member.is_outdated:
            if bell.ring(self._member.file.directory, above=self.number):
                self._alone_since = None
                return True
            now = time.monotonic()
            self._alone_since = self._alone_since or now
            if now - self._alone_since > GONE_S:
                self._alone_since = None
                self._member.take_back()
                self._bell.open(self.number)
                self._retire()
            elif not wait or self._closing.wait(CHECK_S):
                return True
        return False

    def _retire(self) -> None:
        if self._older_holders():
            self._thread = threading.Thread(
                target=self._see_off, name="succession", daemon=True
            )
            self._thread.start()

    def _older_holders(self) -> list[Holder]:
        """The PushProcesses that our settings retire; none if ours are not in force."""
        if self._member.is_outdated:
            return []
        return [each for each in self.slots.holders() if each.number < self.number]

    def _see_off(self) -> None:
        """Wait until those with older settings have left; end those that hang."""
        told: dict[Holder, float] = {}
        left: set[Holder] = set()
        while not self._closing.wait(CHECK_S):
            older = set(self._older_holders())
            if gone := told.keys() - older - left:
                left |= gone
                self._on_left()
            if not older:
                return
            for holder in older - told.keys():
                told[holder] = time.monotonic()
                _tell_to_leave(holder)
            for holder in older:
                self._insist(holder, time.monotonic() - told[holder])

    def _insist(self, holder: Holder, waited_s: float) -> None:
        if waited_s > LEAVE_S + KILL_S:
            log.error("PushProcess %s cannot be killed; its slot is free", holder.owner)
            self.slots.take_away(holder)
        elif waited_s > LEAVE_S and holder.signal(signal.SIGKILL):
            log.warning("PushProcess %s hangs and was killed", holder.owner)


def _tell_to_leave(holder: Holder) -> None:
    if holder.signal(signal.SIGTERM):
        log.info("PushProcess %s has older settings and ends", holder.owner)


def _ignore() -> None:
    pass
