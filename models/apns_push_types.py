"""The push types of APNs, and what each adds to the app's topic.

Apart from the rules for kinds, because the engine needs these and no rules.
"""

# Types whose payload is the kind's own; they show no message to read.
RAW_TYPES = {
    "voip": ".voip",
    "complication": ".complication",
    "fileprovider": ".pushkit.fileprovider",
    # Its topic is the UID of a certificate, which the device names as its app.
    "mdm": "",
    "location": ".location-query",
    "liveactivity": ".push-type.liveactivity",
    "pushtotalk": ".voip-ptt",
    "widgets": ".push-type.widgets",
    "controls": ".push-type.controls",
}
SUFFIXES = {"alert": "", "background": "", **RAW_TYPES}
# The system draws these itself, and takes nothing else.
RELOADS = ("widgets", "controls")
LONGEST_COLLAPSE_ID = 64


def suffix_of(topic: str) -> str:
    """The ending of a topic whose tokens are for one push type; "" of an app's own."""
    return next((s for s in RAW_TYPES.values() if s and topic.endswith(s)), "")
