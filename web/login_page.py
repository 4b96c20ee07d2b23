"""Signing in with the service key, and out again."""

import re
from urllib.parse import parse_qs

from bottle import HTTPResponse

from models.errors import Unauthorized
from web.page_request import PageRequest, page, redirect
from web.session import OPERATOR_COOKIE, set_cookie

PATH = "/dashboard/login"
START = "/dashboard"
# The pages that a login may lead to.
is_target = re.compile(
    r"/dashboard(/(users|devices)/[0-9]+)?|/notifications"
    r"|/imports|/(jobs|imports)/[0-9]+(/(result|error))?"
).fullmatch
HEADINGS = {"/imports": "Import", "/notifications": "Notifications"}


def form(to: str = START, problem: str = "") -> HTTPResponse:
    """The login, which leads to a page; after a wrong key with the problem."""
    to = to if is_target(to) else START
    return page(
        "login",
        status=401 if problem else 200,
        title="Sign in",
        heading=HEADINGS.get(to, "Dashboard" if to == START else "Sign in"),
        problem=problem,
        to=to,
    )


def show(request: PageRequest) -> HTTPResponse:
    query = parse_qs(request.environ.get("QUERY_STRING", ""))
    to = query.get("to", [START])[0]
    if request.is_operator and is_target(to):
        return redirect(to)
    return form(to)


def log_in(request: PageRequest) -> HTTPResponse:
    request.check_origin()
    key = request.form.get("service_key", "").strip()
    to = request.form.get("to", START)
    address = request.app.address_of(request.environ)
    if not request.app.service_key.matches(key, address):
        try:
            request.app.service_key.refuse(key, address)
        except Unauthorized:
            request.audit("sign-in refused")
            return form(to, "This is not the service key.")
    answer = redirect(to if is_target(to) else START)
    cookie = request.sessions.issue()
    set_cookie(answer, request.environ, OPERATOR_COOKIE, cookie)
    request.audit("sign-in", session=cookie)
    return answer


def log_out(request: PageRequest) -> HTTPResponse:
    request.operator_form()
    request.audit("sign-out")
    request.end_session()
    answer = redirect(START)
    set_cookie(answer, request.environ, OPERATOR_COOKIE, "")
    return answer
