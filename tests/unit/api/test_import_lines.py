"""Every line of an upload becomes a row or a problem."""

import csv
import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import import_lines
from api.import_lines import MAX_LINE
from api.uploads import CSV, JSON_LINES
from models.errors import Invalid
from models.imports import Problem, Row
from models.texts import is_blank
from tests.support.paths import ROOT

USER = b'{"type": "user", "external_id": "u-1", "name": "Ann"}'


def read(body: bytes, media_type: str = JSON_LINES, size: int = 1000) -> list:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return list(import_lines.read(media_type, pieces))


def test_every_type_of_row_is_read():
    body = b"""
{"type": "user", "external_id": "u-1", "name": "Ann"}
{"type": "conversation", "external_id": "c-1", "name": "Lunch"}
{"type": "device", "user": "u-1", "platform": "GCM", "token": "abc", "locale": "de"}
{"type": "member", "conversation": "c-1", "user": "u-1"}
"""

    assert read(body) == [
        Row(2, "user", {"external_id": "u-1", "name": "Ann"}),
        Row(3, "conversation", {"external_id": "c-1", "name": "Lunch"}),
        Row(
            4,
            "device",
            {
                "user": "u-1",
                "platform": "fcm",
                "token": "abc",
                "environment": "production",
                "locale": "de",
            },
        ),
        Row(5, "member", {"conversation": "c-1", "user": "u-1", "role": "member"}),
    ]


@pytest.mark.parametrize(
    ("url", "is_good"),
    [("https://example.org/a.png", True), ("http://example.org/a.png", False)],
)
def test_picture_of_a_user_has_an_address(url, is_good):
    line = {"type": "user", "external_id": "u-1", "name": "Ann", "avatar_url": url}

    (found,) = read(json.dumps(line).encode())

    if is_good:
        del line["type"]
        assert found == Row(1, "user", line)
    else:
        assert (found.line, found.field) == (1, "avatar_url")


def test_csv_says_the_same_in_columns():
    body = (
        "\ufefftype,external_id,name,user,platform,token,conversation\r\n"
        'user,u-1,"Grüße, Ann",,,,\r\n'
        "\r\n"
        "device,,,u-1,fcm,abc,\r\n"
        "member,,,u-1,,,c-1\r\n"
    )

    user, device, member = read(body.encode(), CSV)

    assert user == Row(2, "user", {"external_id": "u-1", "name": "Grüße, Ann"})
    assert (device.line, device.values["token"]) == (4, "abc")
    assert (member.line, member.values["role"]) == (5, "member")


def test_rows_of_the_documentation_are_read():
    page = (ROOT / "docs" / "import.md").read_text()
    blocks = re.findall(r"^```(json|csv)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)

    for language, text in blocks:
        rows = read(text.encode(), CSV if language == "csv" else JSON_LINES)

        kinds = [row.kind for row in rows if isinstance(row, Row)]
        assert list(dict.fromkeys(kinds)) == [
            "user",
            "conversation",
            "device",
            "member",
        ]
    assert [language for language, _ in blocks] == ["json", "csv"]


@pytest.mark.parametrize(
    ("line", "field", "part"),
    [
        (b"{", "", "JSON"),
        (b"\xff\xfe", "", "JSON"),
        (b"[]", "", "object"),
        (b"{}", "", "type"),
        (b'{"type": "ship"}', "", "one of"),
        (b'{"type": "user", "name": "x"}', "external_id", "missing"),
        (b'{"type": "user", "external_id": "a b", "name": "x"}', "external_id", ""),
        (b'{"type": "user", "external_id": "a", "name": " "}', "name", "blank"),
        (b'{"type": "user", "external_id": "a", "name": "\\u0000"}', "name", "NUL"),
        (
            b'{"type": "user", "external_id": "a", "name": "x", "at": 1}',
            "at",
            "unknown",
        ),
        (b'{"type": "user", "external_id": 7, "name": "x"}', "external_id", "string"),
        (
            b'{"type": "device", "user": "u", "platform": "pigeon", "token": "x"}',
            "platform",
            "apns",
        ),
        (
            b'{"type": "member", "user": "u", "conversation": "c", "role": "king"}',
            "role",
            "owner",
        ),
        (b'{"a": "' + b"x" * MAX_LINE + b'"}', "", "longer"),
    ],
)
def test_bad_line_is_named_and_the_others_are_read(line, field, part):
    first, bad, last = read(USER + b"\n" + line + b"\n" + USER)

    assert (first.line, last.line) == (1, 3)
    assert isinstance(bad, Problem)
    assert (bad.line, bad.field) == (2, field)
    assert part in bad.message


@pytest.mark.parametrize(
    "row",
    [
        b'user,u-1,"Ann',
        b'user,u-1,"Ann"n',
        b"user,u-1,Ann,more",
        b"user,u-1",
        b"user,,Ann",
        b"user,u-1,\xff",
        b",u-1,Ann",
    ],
)
def test_bad_csv_row_stays_the_only_one(row):
    body = b"type,external_id,name\n" + row + b"\nuser,u-2,Bob\n"

    bad, good = read(body, CSV)

    assert isinstance(bad, Problem)
    assert bad.line == 2
    assert good == Row(3, "user", {"external_id": "u-2", "name": "Bob"})


@pytest.mark.parametrize(
    "header", [b"type,ship", b"type,name,name", b'"type', b"\xff", b"x" * 20_000]
)
def test_bad_header_refuses_the_file(header):
    with pytest.raises(Invalid):
        read(header + b"\nuser,u-1,Ann\n", CSV)


def test_problem_says_nothing_unprintable():
    (bad,) = read(b'{"type": "a\\u0000\\u001b[31m"}')

    assert bad.message.isprintable()
    assert len(bad.message) <= 200


names = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1
).filter(lambda text: len(text) <= 200 and not is_blank(text))
keys = st.from_regex(r"[!-~]{1,100}", fullmatch=True)


@given(st.lists(st.tuples(keys, names), min_size=1), st.integers(1, 50))
def test_what_was_written_is_read(people, size):
    rows = [{"type": "user", "external_id": key, "name": name} for key, name in people]
    as_json = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    table = io.StringIO()
    writer = csv.DictWriter(table, ["type", "external_id", "name"])
    writer.writeheader()
    writer.writerows(rows)

    from_json = read(as_json.encode(), JSON_LINES, size)
    from_csv = read(table.getvalue().encode(), CSV, size)

    wanted = [{"external_id": key, "name": name} for key, name in people]
    assert [row.values for row in from_json] == wanted
    assert [row.values for row in from_csv] == wanted
    assert [row.line for row in from_json] == list(range(1, len(people) + 1))


@given(
    st.lists(st.binary(max_size=60) | st.sampled_from([USER, b"", b"{}"])),
    st.integers(1, 40),
    st.sampled_from([JSON_LINES, CSV]),
)
def test_anything_is_a_row_or_a_problem(some, size, media_type):
    header = b"type,external_id,name" if media_type == CSV else USER
    body = b"\n".join([header, *some])

    found = read(body, media_type, size)

    numbered = enumerate(body.split(b"\n"), 1)
    wanted = [number for number, line in numbered if line.strip()]
    first = 1 if media_type == CSV else 0
    assert [each.line for each in found] == wanted[first:]


@given(st.integers(1, 70_000), st.integers(1, 4))
def test_long_lines_are_counted_right(length, before):
    body = USER + b"\n" + b"x" * length + b"\n" * before + USER

    first, bad, last = read(body, size=16_000)

    assert (first.line, bad.line, last.line) == (1, 2, 2 + before)
    assert ("longer" in bad.message) == (length > MAX_LINE)
