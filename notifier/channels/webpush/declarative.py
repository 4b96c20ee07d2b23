"""What a kind shows in a browser: the options, and declarative web push.

Safari shows a declarative push by itself. Other browsers hand the same payload to the
service worker, and so does Safari if there is one.
"""

from collections.abc import Mapping
from typing import Any

from models.pushes import Notification, Shown
from notifier.channels import push_ids
from notifier.channels.about import Reference
from notifier.channels.catalogue import text as own_text
from notifier.channels.template import clean

# RFC 8030, as a number: by it browsers know a declarative push.
MARK = 8030
# Between the title and the conversation, because browsers have no subtitle.
SEPARATOR = " · "
ABSOLUTE = ("https://", "http://")
LINKS = ("navigate", "icon", "badge", "image")
# These have a place of their own in a push.
_TEXTS = ("title", "body", "tag")

Options = dict[str, Any]


def options_of(shown: Shown) -> Options:
    """The kind's options of the notification, as every browser takes them."""
    block = shown.block
    own = {**block.get("options", {})}
    if block.get("navigate"):
        own["navigate"] = block["navigate"]
    for name in LINKS:
        # A pattern without its value, such as an avatar that nobody has set.
        if not own.get(name, True):
            del own[name]
    if own.get("renotify") and not own.get("tag", True):
        # Without a value of its pattern: it needs a tag, and the message has one.
        del own["tag"]
    if own.get("silent"):
        # Together they are a TypeError in the browser.
        own.pop("vibrate", None)
    return {name: clean_json(value) for name, value in own.items()}


def without_texts(options: Options) -> Options:
    return {name: each for name, each in options.items() if name not in _TEXTS}


def is_declarative(shown: Shown, options: Options) -> bool:
    """Whether Safari can show it: it needs an absolute address to open."""
    target = str(options.get("navigate", ""))
    return bool(shown.block.get("declarative")) and target.startswith(ABSOLUTE)


def document(
    notification: Notification,
    texts: Mapping[str, str],
    options: Options,
    reference: Reference,
    badge: str,
) -> dict[str, Any]:
    """The declarative push; `texts` are its title, chat, body and tag."""
    heading = SEPARATOR.join(filter(None, (texts["title"], texts["chat"])))
    avatar = reference.get("sender", {}).get("avatar")
    own = {
        # WebKit refuses an empty title.
        "title": heading or own_text("new_message", notification.locale),
        "body": texts["body"],
        "tag": texts["tag"],
        **({"icon": avatar} if avatar else {}),
        **without_texts(options),
        "data": data_of(notification, options, reference),
        # Firefox looks for it here, and Safari in both places.
        "mutable": True,
        # Until May 2025 Safari looked for it here.
        "app_badge": badge,
    }
    if own.get("silent", True) is None:
        # WebKit takes only booleans here; it is the default anyway.
        del own["silent"]
    return {
        "web_push": MARK,
        "notification": own,
        "mutable": True,
        "app_badge": badge,
    }


def data_of(
    notification: Notification, options: Options, reference: Reference
) -> dict[str, Any]:
    """The data of the notification: the kind's own, the app's, and the reference."""
    own = options.get("data", {})
    beside = own if isinstance(own, Mapping) else {"own": own}
    strings = {clean(key): clean(value) for key, value in notification.data.items()}
    return {**beside, "data": strings, push_ids.KEY: reference}


def clean_json(value: Any) -> Any:
    """The same with texts that can be encoded."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(name): clean_json(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [clean_json(each) for each in value]
    return value
