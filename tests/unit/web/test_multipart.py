"""Forms with a file, in pieces of any size."""

import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import Invalid, UnsupportedType
from web import multipart

BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def form(*fields: bytes) -> bytes:
    mark = f"--{BOUNDARY}".encode()
    return (
        b"".join(mark + b"\r\n" + each + b"\r\n" for each in fields) + mark + b"--\r\n"
    )


def field(name: str, value: bytes, more: str = "") -> bytes:
    return (
        f'Content-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value
    )


def read(body: bytes, *, size: int = 65536, content_type: str = CONTENT_TYPE) -> list:
    pieces = (body[start : start + size] for start in range(0, len(body), size))
    found = multipart.parts(content_type, pieces)
    return [(part.name, part.filename, b"".join(part.pieces)) for part in found]


@given(
    content=st.binary(max_size=300)
    | st.lists(st.sampled_from([b"\r\n", b"--", BOUNDARY.encode(), b"-", b"\r"])).map(
        b"".join
    ),
    size=st.integers(1, 200),
)
def test_a_file_comes_out_as_it_went_in_whatever_the_pieces(content, size) -> None:
    if f"\r\n--{BOUNDARY}".encode() in b"\r\n" + content + b"\r\n":
        # No browser chooses a boundary that is in the file.
        return
    body = form(field("key", b"abc"), field("file", content, '; filename="a.csv"'))

    assert read(body, size=size) == [("key", None, b"abc"), ("file", "a.csv", content)]


def test_unread_content_of_a_field_is_skipped() -> None:
    body = form(field("a", b"x" * 100), field("b", b"2"))

    names = [part.name for part in multipart.parts(CONTENT_TYPE, iter([body]))]

    assert names == ["a", "b"]


def test_names_are_utf_8_and_types_are_lower_case() -> None:
    head = 'Content-Disposition: form-data; name="file"; filename="Größe.csv"'
    part = f"{head}\r\nContent-Type: Text/CSV\r\n\r\n1".encode()

    (found,) = multipart.parts(CONTENT_TYPE, iter([form(part)]))

    assert (found.filename, found.media_type) == ("Größe.csv", "text/csv")


def test_a_large_file_is_never_held_as_a_whole() -> None:
    def pieces() -> Iterator[bytes]:
        yield f"--{BOUNDARY}\r\n".encode() + field("file", b"")
        for _ in range(500):
            yield b"x" * 65536
        yield f"\r\n--{BOUNDARY}--".encode()

    tracemalloc.start()
    size = sum(
        len(piece)
        for part in multipart.parts(CONTENT_TYPE, pieces())
        for piece in part.pieces
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert size == 500 * 65536
    assert peak < 2**20


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form at all",
        form(field("a", b"1"))[:-6],
        form(b"X-Other: 1\r\n\r\n1"),
        f"--{BOUNDARY}?".encode(),
        form(b"x" * 5000 + b"\r\n\r\n"),
        b"x" * 10_000 + form(field("a", b"1")),
        form(*[field("a", b"1")] * 21),
        form(b"Content-Disposition: attachment\r\n\r\n1"),
        form(b"Content-Disposition: form-data; name=\xff\r\n\r\n1"),
    ],
)
def test_what_is_no_form_is_refused(body) -> None:
    with pytest.raises(Invalid):
        read(body)


@pytest.mark.parametrize("size", [1, 2, 7])
def test_a_last_line_end_may_come_alone(size) -> None:
    body = form(field("a", b"1"))
    pieces = [body[:-size], body[-size:]]

    (found,) = multipart.parts(CONTENT_TYPE, iter(pieces))

    assert found.name == "a"


def test_a_form_that_ends_early_is_reported_as_such() -> None:
    with pytest.raises(Invalid, match="ends too early"):
        read(form(field("a", b"1"))[:-6])


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; x",
        f"multipart/form-data; boundary={'x' * 71}",
        'multipart/form-data; boundary="a\nb"',
    ],
)
def test_without_a_boundary_it_is_refused(content_type) -> None:
    with pytest.raises(Invalid):
        read(form(), content_type=content_type)


def test_another_type_is_refused() -> None:
    with pytest.raises(UnsupportedType):
        read(form(), content_type="text/csv")


def test_a_short_field_may_not_be_long() -> None:
    body = form(field("key", b"x" * 5000))

    part = next(multipart.parts(CONTENT_TYPE, iter([body])))

    with pytest.raises(Invalid):
        part.value()
