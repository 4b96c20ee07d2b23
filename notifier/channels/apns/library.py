"""The door to apns2, which cannot be imported on today's Python without help.

Its client and its credentials begin with `import hyper`, an archived HTTP/2 package
that no Python since 3.10 can import. We use apns2 for payloads, names and reasons and
send by ourselves, so hyper only has to be there while those modules are loaded: two
empty modules stand in for it during that import, and are taken away again.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NoReturn

_loading = threading.Lock()


@contextmanager
def _stand_in_for_hyper() -> Iterator[None]:
    """Let `import hyper` find what apns2 looks for in it; undone at the end."""
    # An import in another thread could otherwise take our stand-ins for its own.
    with _loading:
        hyper, tls = ModuleType("hyper"), ModuleType("hyper.tls")
        hyper.HTTP20Connection = _no_hyper  # type: ignore[attr-defined]
        tls.init_context = _no_hyper  # type: ignore[attr-defined]
        stand_ins = {"hyper": hyper, "hyper.tls": tls}
        before = {name: sys.modules.get(name) for name in stand_ins}
        sys.modules.update(stand_ins)
        try:
            yield
        finally:
            for name, module in before.items():
                if module is None:
                    sys.modules.pop(name, None)
                else:
                    sys.modules[name] = module


def _no_hyper(*_args: Any, **_kwargs: Any) -> NoReturn:
    raise NotImplementedError("apns2 cannot send here; notifier.http2 does")


with _stand_in_for_hyper():
    from apns2.client import NotificationPriority, NotificationType

from apns2.errors import exception_class_for_reason  # noqa: E402 - needs the above
from apns2.payload import MAX_PAYLOAD_SIZE, Payload, PayloadAlert  # noqa: E402

__all__ = [
    "MAX_PAYLOAD_SIZE",
    "NotificationPriority",
    "NotificationType",
    "Payload",
    "PayloadAlert",
    "explain",
]


def explain(reason: str) -> str:
    """APNs' reason with apns2's sentence on it, where apns2 knows it."""
    try:
        words = exception_class_for_reason(reason).__doc__ or ""
    except KeyError:
        # apns2 is older than some reasons: ExpiredToken, InvalidPushType …
        return reason
    sentence = words.strip().split("\n")[0].rstrip(".")
    return f"{reason} ({sentence})" if sentence else reason
