"""Compares an answer with a sample that a reader sees.

`…` stands for anything: a text or a part of it, the rest of an object, or of a list.
Ids and numbers that follow from them may differ, because a page begins with its own.
"""

import json
import re
from typing import Any

ANYTHING = "…"
# Their numbers are those of one database.
IDS = frozenset(
    {"id", "conversation", "message", "job", "sender", "seq", "last_seq", "members"}
)


def parse(sample: str) -> Any:
    """JSON as pages write it, with `…` where something is left out."""
    text = re.sub(r",\s*…(?=\s*[,}\]])", ', "…": "…"', sample)
    text = re.sub(r"\{\s*…\s*\}", '{"…": "…"}', text)
    text = re.sub(r'(\[[^\]{]*), "…": "…"\]', r'\1, "…"]', text)
    return json.loads(text)


def difference(sample: Any, real: Any, where: str = "it") -> str | None:
    """How the real answer differs from the sample; None if it is like it."""
    if isinstance(sample, dict):
        return _of_objects(sample, real, where)
    if isinstance(sample, list):
        return _of_lists(sample, real, where)
    if isinstance(sample, str):
        pattern = ".*".join(map(re.escape, sample.split(ANYTHING)))
        if isinstance(real, str) and re.fullmatch(_loose(pattern), real, re.DOTALL):
            return None
        return None if sample == ANYTHING else f"{where} is {real!r}, not {sample!r}"
    if type(sample) is not type(real):
        return f"{where} is {real!r}, not {sample!r}"
    key = re.split(r"[.\[]", where)[-1]
    if isinstance(sample, int) and key in IDS:
        return None
    return None if sample == real else f"{where} is {real!r}, not {sample!r}"


def _loose(pattern: str) -> str:
    """Numbers at the ends of addresses, such as /jobs/1, are ids."""
    return re.sub(r"/\d+(?=$|/)", r"/\\d+", pattern)


def _of_objects(sample: dict[str, Any], real: Any, where: str) -> str | None:
    if not isinstance(real, dict):
        return f"{where} is {real!r}, not an object"
    wanted = {key: value for key, value in sample.items() if key != ANYTHING}
    if missing := wanted.keys() - real.keys():
        return f"{where} has no {', '.join(sorted(missing))}"
    if ANYTHING not in sample and (more := real.keys() - wanted.keys()):
        return f"{where} also has {', '.join(sorted(more))}"
    found = (difference(wanted[key], real[key], f"{where}.{key}") for key in wanted)
    return next(filter(None, found), None)


def _of_lists(sample: list[Any], real: Any, where: str) -> str | None:
    if not isinstance(real, list):
        return f"{where} is {real!r}, not a list"
    if where.rpartition(".")[2] in IDS:
        return None
    wanted = [each for each in sample if each != ANYTHING]
    if len(real) < len(wanted) or (len(wanted) == len(sample) != len(real)):
        return f"{where} has {len(real)} entries, not {len(wanted)}"
    found = (
        difference(each, real[n], f"{where}[{n}]") for n, each in enumerate(wanted)
    )
    return next(filter(None, found), None)


def text_difference(sample: str, real: str) -> str | None:
    """The same for lines of a text."""
    pattern = ".*".join(map(re.escape, sample.strip().split(ANYTHING)))
    if re.fullmatch(pattern, real.strip(), re.DOTALL):
        return None
    return f"the output is\n{real}\nand not\n{sample}"
