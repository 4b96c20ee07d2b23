"""What would be sent for a sample message, and what a phone would make of it."""

from typing import NamedTuple


class Seen(NamedTuple):
    """What the owner of a device sees of a push."""

    title: str = ""
    subtitle: str = ""
    body: str = ""
    # The addresses of the small picture and of the large one.
    icon: str = ""
    image: str = ""
    actions: tuple[str, ...] = ()
    # Why nothing of this is seen, or by what it is drawn.
    note: str = ""


class Preview(NamedTuple):
    """The request for one device; its body is text."""

    platform: str
    method: str = ""
    url: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    seen: Seen = Seen()
    # What an iPhone shows that is registered with FCM.
    seen_by_iphone: Seen | None = None
    # Why there is no request.
    problem: str = ""
