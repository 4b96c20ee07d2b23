"""A form for a file of users, conversations, devices and members."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from bottle import HTTPResponse

from api import imports, multipart
from api.imports import UPLOAD_LIMIT
from api.multipart import Part
from api.session import OPERATOR_COOKIE
from api.uploads import CSV, JSON_LINES, MEDIA_TYPES, Upload
from api.visit import Visit, page, redirect
from datastore import imports as stored
from models.errors import CallerError, Invalid

ADDRESS = "/imports"
# Browsers do not know JSON lines, and some call CSV a spreadsheet: the name decides.
ENDINGS = {".csv": CSV, ".ndjson": JSON_LINES, ".jsonl": JSON_LINES}
# What the form has beside its file.
ROOM = 64 * 1024
SHOWN = 10


@dataclass(frozen=True)
class FormFile(Upload):
    """The file in a form on its way to us."""

    part: Part = field(kw_only=True)

    @property
    def media_type(self) -> str:
        """One of MEDIA_TYPES; raises Invalid."""
        name = (self.part.filename or "").lower()
        for ending, media_type in ENDINGS.items():
            if name.endswith(ending):
                return media_type
        if self.part.media_type in MEDIA_TYPES:
            return self.part.media_type
        raise Invalid(f"The file's name must end in one of {', '.join(ENDINGS)}.")

    def pieces(self) -> Iterator[bytes]:
        return self.part.pieces


def show(visit: Visit) -> HTTPResponse:
    if not visit.is_operator:
        return page("login", title="Sign in", problem="", to=ADDRESS)
    with visit.house.store.read() as session:
        recent = stored.recent(session, SHOWN)
    return page(
        "imports",
        title="Import",
        recent=recent,
        endings=",".join(ENDINGS),
        key=visit.sessions.form_key(visit.cookie(OPERATOR_COOKIE)),
    )


def take(visit: Visit) -> HTTPResponse:
    """Begin an import with the form's file, and lead to the page that follows it."""
    visit.check_operator()
    body = Upload(visit.environ, UPLOAD_LIMIT + ROOM, needs_length=False)
    body.check_length()
    pieces = body.pieces()
    try:
        with visit.outside():
            part = _find_file(visit, pieces)
        file = FormFile(visit.environ, body.limit, needs_length=False, part=part)
        started = imports.start(visit.call(), file)
    except CallerError:
        # A browser looks at our answer only when it has sent all of the form.
        with visit.outside():
            for _ in pieces:
                pass
        raise
    assert started.body is not None  # noqa: S101 - a start always has an answer
    return redirect(started.body.job.url)


def _find_file(visit: Visit, pieces: Iterator[bytes]) -> Part:
    """The file, once the key of the form before it has been seen to be right."""
    key = ""
    for part in multipart.parts(visit.environ.get("CONTENT_TYPE", ""), pieces):
        if part.name == "key":
            key = part.value()
        elif part.name == "file":
            visit.check_key(key)
            if not part.filename:
                break
            return part
    visit.check_key(key)
    raise Invalid("Choose a file first.")
