"""The Dockerfile, read as far as our own file needs."""

import json
import re
import shlex
from typing import NamedTuple

from tests.support.paths import ROOT

DOCKERFILE = ROOT / "Dockerfile"


class Instruction(NamedTuple):
    """A line of the Dockerfile, continued lines joined."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        if self.text.startswith("["):
            return list(json.loads(self.text))
        return shlex.split(self.text)


def instructions() -> list[Instruction]:
    lines = DOCKERFILE.read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", text)
    return [
        Instruction(*line.split(maxsplit=1))
        for line in joined.splitlines()
        if line.strip()
    ]


def image_environment() -> dict[str, str]:
    """The variables of ours that the image sets."""
    pairs = [
        word.split("=", 1)
        for instruction in instructions()
        if instruction.name == "ENV"
        for word in instruction.words
    ]
    return {name: value for name, value in pairs if name.startswith("BOTTLEPOST_")}


def last(name: str) -> Instruction:
    """The instruction that holds; earlier ones of its name do not."""
    return [each for each in instructions() if each.name == name][-1]
