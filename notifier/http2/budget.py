"""What a connection may cost us besides the answers that it carries."""

import time

from notifier.http2.frames import Code, PeerError

# A thousand requests may each get three frames, such as wider windows and a PING,
# before the first of them is answered.
CAPACITY = 4096
# An answer pays for the frames around the next one.
PER_ANSWER = 4
# A connection that lives for days pays for its keep-alive frames with time.
PER_SECOND = 2.0


class Budget:
    """Frames that advance no request are charged to it; without a rest it raises.

    Answers and time fill it up again. Both are counted only when it is empty, so a
    charge costs a subtraction.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        # All that has been charged.
        self.spent = 0
        self._capacity = capacity
        self._left = float(capacity)
        self._answers = 0
        self._filled_at = time.monotonic()

    def charge(self, cost: int, answers: int) -> None:
        """Pay for a frame, given the number of all answers so far.

        Raises PeerError when the peer has used up what it may cost.
        """
        self.spent += cost
        self._left -= cost
        if self._left < 0:
            self._refill(answers)

    def _refill(self, answers: int) -> None:
        now = time.monotonic()
        earned = (answers - self._answers) * PER_ANSWER
        earned += int((now - self._filled_at) * PER_SECOND)
        self._left = min(self._left + earned, self._capacity)
        self._answers, self._filled_at = answers, now
        if self._left < 0:
            raise PeerError(Code.ENHANCE_YOUR_CALM, "a flood of frames without use")
