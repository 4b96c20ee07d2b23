"""The Dockerfile, its constraints and .dockerignore agree with the code."""

import re
from configparser import ConfigParser
from functools import cache

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.deployment import image_environment, instructions, last
from tests.support.paths import ROOT

EXTRAS = ("speed", "postgresql", "celery", "container")
FILES = ("constraints.txt", "constraints-build.txt")


@cache
def pinned(file: str) -> dict[str, tuple[str, list[str]]]:
    """Version and hashes of each package."""
    text = (ROOT / "deploy" / file).read_text().replace("\\\n", "")
    lines = [line.split() for line in text.splitlines() if line[:1] not in ("#", "")]
    found = {}
    for requirement, *hashes in lines:
        name, version = requirement.split("==")
        found[canonicalize_name(name)] = (version, hashes)
    return found


@cache
def setup_cfg() -> ConfigParser:
    declared = ConfigParser()
    declared.read(ROOT / "setup.cfg")
    return declared


def requirements(text: str) -> list[Requirement]:
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    return [Requirement(line) for line in lines if line]


@pytest.mark.parametrize("part", ["", *EXTRAS])
def test_constraints_satisfy_what_we_require(part: str) -> None:
    """Run `make constraints` if this fails."""
    declared = setup_cfg()
    text = (
        declared["options.extras_require"][part]
        if part
        else declared["options"]["install_requires"]
    )
    have = pinned("constraints.txt")

    unmet = [
        str(needed)
        for needed in requirements(text)
        if not needed.specifier.contains(
            have.get(canonicalize_name(needed.name), ("0", []))[0], prereleases=True
        )
    ]

    assert not unmet


def test_constraints_of_the_build_satisfy_pyproject() -> None:
    [needed] = re.findall(
        r'requires = \["(.+)"\]', (ROOT / "pyproject.toml").read_text()
    )
    version, _ = pinned("constraints-build.txt")["setuptools"]

    assert Requirement(needed).specifier.contains(version)


@pytest.mark.parametrize("file", FILES)
def test_everything_has_hashes_and_no_index_is_named(file: str) -> None:
    text = (ROOT / "deploy" / file).read_text()

    for name, (_, hashes) in pinned(file).items():
        assert hashes, name
        assert all(re.fullmatch("--hash=sha256:[0-9a-f]{64}", h) for h in hashes), name
    assert not re.search(r"://|index|find-links|file:", text)


def test_make_constraints_pins_the_extras_of_the_image() -> None:
    makefile = (ROOT / "Makefile").read_text()

    assert tuple(sorted(re.findall(r"--extra (\w+)", makefile))) == tuple(
        sorted(EXTRAS)
    )


def test_pip_installs_only_what_is_pinned() -> None:
    commands = [
        command
        for each in instructions()
        if each.name == "RUN"
        for command in each.text.split("&&")
        if "pip install" in command or "pip wheel" in command
    ]

    assert commands
    assert "--upgrade-deps" not in str(instructions())
    for command in commands:
        assert "--require-hashes" in command or "--no-index --no-deps" in command


def test_dependencies_have_a_layer_before_the_code() -> None:
    final = "\n".join(map(" ".join, instructions())).rpartition("\nFROM ")[2]

    assert final.index("--require-hashes") < final.index("COPY --from=wheel")
    assert not re.search(r"^COPY \. ", final, re.MULTILINE)


def test_container_runs_as_an_ordinary_user_under_an_init() -> None:
    assert last("USER").text == "bottlepost"
    assert last("ENTRYPOINT").words[0] == "dumb-init"
    assert last("CMD").words == ["bottlepost", "serve"]
    assert last("HEALTHCHECK").text.endswith('CMD ["bottlepost", "healthcheck"]')


def test_container_listens_outside_and_keeps_its_data_in_the_volume() -> None:
    variables = image_environment()

    assert variables["BOTTLEPOST_HOST"] == "0.0.0.0"
    assert variables["BOTTLEPOST_RUN_DIR"] == last("VOLUME").text
    [made] = [
        each.text for each in instructions() if "install --directory" in each.text
    ]
    assert (
        f"--owner=bottlepost --group=bottlepost --mode=700 {last('VOLUME').text}"
        in made
    )
    assert last("EXPOSE").text == "8080"


def test_the_image_has_every_package_and_file() -> None:
    ignored = (ROOT / ".dockerignore").read_text()
    let_in = {line[1:] for line in ignored.splitlines() if line[:1] == "!"}
    packages = {
        folder.parent.name
        for folder in ROOT.glob("*/__init__.py")
        if folder.parent.name not in ("tests", "benchmarks")
    }
    copied = {
        word
        for each in instructions()
        if each.name == "COPY"
        for word in each.words[:-1]
        if word.startswith("deploy/")
    }

    assert packages <= let_in
    assert all(any(name.startswith(known) for known in let_in) for name in copied)
    assert all((ROOT / name).exists() for name in let_in | copied)
