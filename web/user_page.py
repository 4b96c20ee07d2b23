"""The operator's page of a user: the devices, why pushes fail, and a test push."""

from datetime import timedelta

from bottle import HTTPResponse

from datastore import accounts, operator_views, statistics
from models.base import utc_now
from web import login_page
from web.page_request import PageRequest, page, redirect
from web.session import OPERATOR_COOKIE

PATH = "/dashboard/users"
RECENTLY = timedelta(days=1)


def show(request: PageRequest, user_id: int) -> HTTPResponse:
    """The user with all devices, and what failed in the last day."""
    if not request.is_operator:
        return login_page.form(f"{PATH}/{user_id}")
    with request.app.store.read() as session:
        user = accounts.find_user(session, user_id)
        devices = accounts.list_devices(session, user_id)
        first = statistics.first_job_since(session, utc_now() - RECENTLY)
        ids = [device.id for device in devices]
        failures = operator_views.failures(session, ids, first)
        return page(
            "user",
            title=user.name,
            user=user,
            devices=devices,
            failures=failures,
            key=request.sessions.csrf_token(request.cookie(OPERATOR_COOKIE)),
        )


def of_device(request: PageRequest, device_id: int) -> HTTPResponse:
    """The page of the device's owner, at the device."""
    if not request.is_operator:
        return login_page.form(f"/dashboard/devices/{device_id}")
    with request.app.store.read() as session:
        owner = operator_views.find_device(session, device_id).user_id
    return _at(owner, device_id)


def disable(request: PageRequest, device_id: int) -> HTTPResponse:
    request.operator_form()
    with request.app.store.write() as session:
        owner = operator_views.switch_off(session, device_id, utc_now()).user_id
    request.audit("disable", user=owner, device=device_id)
    return _at(owner, device_id)


def enable(request: PageRequest, device_id: int) -> HTTPResponse:
    request.operator_form()
    with request.app.store.write() as session:
        owner = operator_views.switch_on(session, device_id).user_id
    request.audit("enable", user=owner, device=device_id)
    return _at(owner, device_id)


def _at(owner: int, device_id: int) -> HTTPResponse:
    return redirect(f"{PATH}/{owner}#device-{device_id}")
