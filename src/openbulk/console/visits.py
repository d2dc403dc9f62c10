"""One request of a person: who it is, what the API says, and the page that answers."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from openbulk.api.http.callers import instance_of
from openbulk.console.api_calls import ApiCalls, ApiRefusal
from openbulk.console.rendering import render, texts_for
from openbulk.console.sessions import BrowserSession, BrowserSessions
from openbulk.console.texts import Texts
from openbulk.domain.people import Caller, User
from openbulk.storage.accounts import Accounts

MAX_FIELDS = 20_000
"""Fields of a form: one for each column of a file, and some. Its bytes are bounded, too."""


class Visit:
    """A request of a person who is signed in."""

    def __init__(self, request: Request, session: BrowserSession) -> None:
        self.request = request
        self.session = session
        state = request.app.state
        self._api: ASGIApp = state.api
        self._prefix: str = state.api_prefix
        self._accounts: Accounts = state.accounts
        self.sessions: BrowserSessions = state.sessions

    @property
    def texts(self) -> Texts:
        """The texts in the person's language."""
        return texts_for(self.request)

    @property
    def address(self) -> str:
        """The address of this server, as the person's browser has it."""
        return str(self.request.base_url).rstrip("/")

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters of the address."""
        return self.request.query_params

    @property
    def api(self) -> ApiCalls:
        """The API for the person, without an instance."""
        return ApiCalls(self._api, self._prefix, self.request, self.session.caller)

    @property
    def user(self) -> User:
        """The person."""
        return self.session.caller.user

    @property
    def is_confirmed(self) -> bool:
        """Whether the person has shown lately that it is they."""
        session = self.session.caller.session
        return session is not None and session.is_confirmed(datetime.now(UTC))

    async def look_again(self) -> None:
        """Read the session again, which the API has changed."""
        self.session = await self.sessions.session_of(self.request) or self.session

    async def api_of(self, instance_id: object) -> ApiCalls:
        """The API for the person with one instance. Raises ApiRefusal if there is none."""
        caller = await self._with_instance(str(instance_id))
        return ApiCalls(self._api, self._prefix, self.request, caller)

    async def form(self) -> FormData:
        """The fields of a form."""
        return await self.request.form(max_files=0, max_fields=MAX_FIELDS)

    async def fields(self) -> Mapping[str, str]:
        """The fields of a form, as texts."""
        return {name: str(value) for name, value in (await self.form()).items()}

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page with these values."""
        return render(self.request, template, values, status)

    def go_to(self, path: str, **parameters: object) -> Response:
        """Have the browser open another page, which a reload does not send again."""
        given = {name: value for name, value in parameters.items() if value not in (None, "")}
        query = f"?{urlencode(given)}" if given else ""
        return RedirectResponse(path + query, 303)

    def seal(self, content: bytes, context: str) -> str:
        """What only this server can read, for a cookie of the person."""
        return self.sessions.seal(content, self._context(context))

    def open(self, sealed: str, context: str) -> bytes | None:
        """What `seal` has sealed for this person; None if it was not that."""
        return self.sessions.open(sealed, self._context(context))

    def _context(self, context: str) -> str:
        return f"{context} for user {self.session.caller.user.id}"

    async def _with_instance(self, instance_id: str) -> Caller:
        caller = self.session.caller
        found = await instance_of(caller.user, instance_id, self._accounts)
        if found is None:
            text = self.texts.gettext("There is no such service; it may have been deleted.")
            raise ApiRefusal(404, text, {})
        return replace(caller, instance=found.calling)


Handler = Callable[[Visit], Awaitable[Response]]
