"""The page with the form that imports a file."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from bottle import HTTPResponse

from api import imports
from api.imports import UPLOAD_LIMIT
from api.uploads import CSV, JSON_LINES, MEDIA_TYPES, Upload
from datastore import imports as stored
from models.errors import CallerError, Invalid
from web import login_page, multipart
from web.multipart import Part
from web.page_request import PageRequest, page, redirect
from web.session import OPERATOR_COOKIE

PATH = "/imports"
# The name decides, because browsers do not know JSON lines, and some send CSV as a
# spreadsheet's type.
EXTENSIONS = {".csv": CSV, ".ndjson": JSON_LINES, ".jsonl": JSON_LINES}
# The form may have this many bytes beside the file.
FORM_OVERHEAD = 64 * 1024
RECENT_IMPORTS = 10


@dataclass(frozen=True)
class FormFile(Upload):
    """The file of a form that is being received."""

    part: Part = field(kw_only=True)

    @property
    def media_type(self) -> str:
        """One of MEDIA_TYPES; raises Invalid."""
        name = (self.part.filename or "").lower()
        for extension, media_type in EXTENSIONS.items():
            if name.endswith(extension):
                return media_type
        if self.part.media_type in MEDIA_TYPES:
            return self.part.media_type
        raise Invalid(f"The file's name must end in one of {', '.join(EXTENSIONS)}.")

    def pieces(self) -> Iterator[bytes]:
        return self.part.pieces


def show(request: PageRequest) -> HTTPResponse:
    """The form, and the recent imports."""
    if not request.is_operator:
        return login_page.form(PATH)
    with request.app.store.read() as session:
        recent = stored.recent(session, RECENT_IMPORTS)
    return page(
        "imports",
        title="Import",
        recent=recent,
        extensions=",".join(EXTENSIONS),
        key=request.sessions.csrf_token(request.cookie(OPERATOR_COOKIE)),
    )


def upload(request: PageRequest) -> HTTPResponse:
    """Start an import of the form's file, and redirect to the page of its progress."""
    request.check_operator()
    body = Upload(request.environ, UPLOAD_LIMIT + FORM_OVERHEAD, needs_length=False)
    body.check_length()
    pieces = body.pieces()
    try:
        with request.released():
            part = _find_file(request, pieces)
        file = FormFile(request.environ, body.limit, needs_length=False, part=part)
        started = imports.start(request.context(), file)
    except CallerError:
        # A browser reads the response only after it has sent the whole form.
        with request.released():
            for _ in pieces:
                pass
        raise
    assert started.body is not None  # noqa: S101 - a start always has a body
    request.audit("import", number=started.body.job.id)
    return redirect(f"/imports/{started.body.job.id}")


def _find_file(request: PageRequest, pieces: Iterator[bytes]) -> Part:
    """The file; raises Forbidden unless a valid CSRF token comes before it."""
    key = ""
    for part in multipart.parts(request.environ.get("CONTENT_TYPE", ""), pieces):
        if part.name == "key":
            key = part.value()
        elif part.name == "file":
            request.check_csrf_token(key)
            if not part.filename:
                break
            return part
    request.check_csrf_token(key)
    raise Invalid("Choose a file first.")
