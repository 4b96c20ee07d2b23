"""A form for a file of users, conversations, devices and members."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from bottle import HTTPResponse

from api import imports
from api.imports import UPLOAD_LIMIT
from api.uploads import CSV, JSON_LINES, MEDIA_TYPES, Upload
from datastore import imports as stored
from models.errors import CallerError, Invalid
from web import multipart
from web.multipart import Part
from web.page_request import PageRequest, page, redirect
from web.session import OPERATOR_COOKIE

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


def show(request: PageRequest) -> HTTPResponse:
    if not request.is_operator:
        return page("login", title="Sign in", problem="", to=ADDRESS)
    with request.app.store.read() as session:
        recent = stored.recent(session, SHOWN)
    return page(
        "imports",
        title="Import",
        recent=recent,
        endings=",".join(ENDINGS),
        key=request.sessions.form_key(request.cookie(OPERATOR_COOKIE)),
    )


def take(request: PageRequest) -> HTTPResponse:
    """Begin an import with the form's file, and lead to the page that follows it."""
    request.check_operator()
    body = Upload(request.environ, UPLOAD_LIMIT + ROOM, needs_length=False)
    body.check_length()
    pieces = body.pieces()
    try:
        with request.released():
            part = _find_file(request, pieces)
        file = FormFile(request.environ, body.limit, needs_length=False, part=part)
        started = imports.start(request.context(), file)
    except CallerError:
        # A browser looks at our answer only when it has sent all of the form.
        with request.released():
            for _ in pieces:
                pass
        raise
    assert started.body is not None  # noqa: S101 - a start always has an answer
    return redirect(started.body.job.url)


def _find_file(request: PageRequest, pieces: Iterator[bytes]) -> Part:
    """The file, once the key of the form before it has been seen to be right."""
    key = ""
    for part in multipart.parts(request.environ.get("CONTENT_TYPE", ""), pieces):
        if part.name == "key":
            key = part.value()
        elif part.name == "file":
            request.check_key(key)
            if not part.filename:
                break
            return part
    request.check_key(key)
    raise Invalid("Choose a file first.")
