"""Google Calendar: creates, changes and deletes each event exactly once, even after a crash."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from openbulk.connectors.base import (
    ConfigurationEntry,
    ConnectionContext,
    Connector,
    Features,
    LocalTimes,
    OAuth,
)
from openbulk.connectors.googlecalendar.api import CalendarApi, event_path, events_path
from openbulk.connectors.googlecalendar.batches import Batches
from openbulk.connectors.googlecalendar.collection_calls import CollectionCalls
from openbulk.connectors.googlecalendar.collection_planning import CollectionPlans
from openbulk.connectors.googlecalendar.collection_uploads import CollectionUploads
from openbulk.connectors.googlecalendar.collections import (
    CALENDARS,
    COLLECTIONS,
    CalendarCollections,
)
from openbulk.connectors.googlecalendar.errors import read_refusal, throttle_of
from openbulk.connectors.googlecalendar.event_lookup import EventLookup
from openbulk.connectors.googlecalendar.event_rows import PRIMARY
from openbulk.connectors.googlecalendar.events import is_deleted
from openbulk.connectors.googlecalendar.limits import USAGE_LIMITS, Limits
from openbulk.connectors.googlecalendar.listing import read_events
from openbulk.connectors.googlecalendar.options import OPTIONS
from openbulk.connectors.googlecalendar.planning import EventPlans
from openbulk.connectors.googlecalendar.schema import event_schema, list_parameters
from openbulk.connectors.googlecalendar.sign_in import GoogleOAuth, auth_of
from openbulk.connectors.googlecalendar.traces import NotingCalls, TracedUploads
from openbulk.connectors.googlecalendar.undoing import EventUndo
from openbulk.connectors.http import Client
from openbulk.connectors.pace import Budget
from openbulk.domain.errors import NotFound, Refused
from openbulk.domain.options import Option
from openbulk.domain.plan import Completeness, Planned, UsageLimit
from openbulk.domain.query import Page, PageRequest, Query
from openbulk.domain.records import Action, Outcome, Record, Target
from openbulk.domain.undo import Reversal

API_URL = "https://www.googleapis.com"
EVENTS = "events"
EVENT_FEATURES = Features(
    frozenset(Action),
    max_batch=1,
    concurrency=1_024,
    initial_concurrency=64,
    idempotent_writes=True,
    identifiers=("id", "iCalUID"),
    references={"recurringEventId": "id"},
    extra_columns=("calendarId",),
    any_identifier=True,
    # An occurrence of a series has its time from the series.
    # A day needs no end: it ends as it does.
    needs=(("start", "originalStartTime"), ("end", "start.date", "originalStartTime")),
    common=("summary", "start", "end", "description", "location", "attendees", "recurrence"),
    paths=("calendars/{calendarId}/events",),
    parameters=list_parameters("calendar.events.list") - {"iCalUID"},
    changed="updated",
    has_changes=True,
    plan=Completeness.COMPLETE,
    undoes=frozenset(Action),
    guards_writes=True,
    local_times=LocalTimes("the time zone of the calendar; metaData.timeZone names another"),
)
_COLLECTION_FEATURES = {name: collection.features for name, collection in COLLECTIONS.items()}
_SCHEMAS: Mapping[str, Callable[[], Mapping[str, Any]]] = {
    EVENTS: event_schema,
    **{name: collection.schema for name, collection in COLLECTIONS.items()},
}


class GoogleCalendar:
    """One signed-in Google account."""

    native = None
    remembers_plans = True

    def __init__(self, api: CalendarApi) -> None:
        self._api = api
        self._collections = CalendarCollections(api)
        lookup = EventLookup(api)
        write_collection = CollectionUploads(CollectionCalls(api, self._collections)).write
        self._writers = dict.fromkeys(COLLECTIONS, write_collection) | {
            EVENTS: TracedUploads(NotingCalls(api, lookup), lookup).write
        }
        self._undo = EventUndo(api)
        plan_collection = CollectionPlans(api).plan
        self._planners = dict.fromkeys(COLLECTIONS, plan_collection) | {
            EVENTS: EventPlans(api).plan
        }

    async def check(self) -> None:
        """List one event of the primary calendar: the narrowest scope allows that."""
        parameters = {"maxResults": "1", "fields": "kind"}
        answer = await self._api.read(events_path(PRIMARY), parameters)
        if not answer.is_success:
            refusal = read_refusal(answer)
            raise Refused(str(refusal), provider_message=refusal.message)

    async def objects(self) -> Mapping[str, Features]:
        """Events, calendars, the person's list of them, and who may see them."""
        return {EVENTS: EVENT_FEATURES} | _COLLECTION_FEATURES

    async def metadata(self, object: str) -> Mapping[str, Any]:
        """The fields of Google's discovery document."""
        _require_object(object)
        return _SCHEMAS[object]()

    async def read(self, query: Query, request: PageRequest) -> AsyncIterator[Page]:
        """Events of a calendar, or the records of another object."""
        _require_object(query.object)
        if query.object == EVENTS:
            pages = read_events(self._api, query, request)
        else:
            pages = self._collections.read(query, request)
        async for page in pages:
            yield page

    async def get(self, object: str, id: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        """An event of the calendar that `calendarId` names, or a record of another object."""
        _require_object(object)
        if object != EVENTS:
            return await self._collections.get(object, id, parameters)
        calendar = parameters.get("calendarId") or PRIMARY
        path = event_path(calendar, id)
        event = await self._api.get_of_calendar(path, "Event", calendar, f"event {id!r}")
        if is_deleted(event):
            raise NotFound(f"the event {id!r} was deleted")
        return event

    async def find(self, target: Target, batch: Sequence[Record]) -> Mapping[str, str]:
        """The calendars that these records created. Writes of other objects are idempotent."""
        if target.object != CALENDARS:
            return {}
        return await self._collections.find(batch)

    async def write(self, target: Target, batch: Sequence[Record]) -> Sequence[Outcome]:
        """Do the target's action with each record: one call each, besides look-ups."""
        write = self._writers[target.object]
        return [await write(record, target) for record in batch]

    def budgets(self, place: str | None) -> Sequence[Budget]:
        """Those of a call that changes a calendar, or of any other call."""
        return self._api.budgets(place)

    def usage_limits(self, object: str) -> Sequence[UsageLimit]:
        """Google's limits on the use of calendars."""
        return USAGE_LIMITS.get(object, ())

    async def plan(self, target: Target, batch: Sequence[Record]) -> Sequence[Planned]:
        """What `write` would do: it costs the look-up of records, and no call that writes."""
        return await self._planners[target.object](target, batch)

    async def undo(
        self, target: Target, batch: Sequence[Reversal], *, overwrites: bool, is_trial: bool
    ) -> Sequence[Outcome]:
        """Put events back: one call each, besides look-ups."""
        return await self._undo.undo(target, batch, overwrites=overwrites, is_trial=is_trial)

    async def close(self) -> None:
        """Nothing to close: the HTTP session belongs to the server."""


def _require_object(object: str) -> None:
    names = [EVENTS, *COLLECTIONS]
    if object not in names:
        raise NotFound(
            f"Google Calendar has no object {object!r}; its objects are: {', '.join(names)}"
        )


class GoogleCalendarProvider:
    """Makes connectors to Google Calendar."""

    key = "googlecalendar"
    name = "Google Calendar"
    hub = "scheduling"
    event_objects = frozenset({"events"})
    makes_calls = True
    entries: Sequence[ConfigurationEntry] = (
        ConfigurationEntry("oauth.api.key", "Client id of the Google Cloud project."),
        ConfigurationEntry(
            "oauth.api.secret", "Client secret of the Google Cloud project.", secret=True
        ),
        ConfigurationEntry("oauth.callback.url", "Redirect address that was used to sign in."),
        ConfigurationEntry(
            "oauth.user.refresh_token",
            "Refresh token of the account; made from providerData.code.",
            secret=True,
        ),
        ConfigurationEntry(
            "google.service_account",
            "JSON key of a service account, instead of the above.",
            secret=True,
        ),
        ConfigurationEntry(
            "google.subject", "Address of the person for whom the service account acts."
        ),
        ConfigurationEntry(
            "google.scope", "Scopes that the service account requests; default: the one for events."
        ),
        ConfigurationEntry(
            "quota.user.minute",
            "Calls a minute that Google allows one user; default: 600, or more if Google allows.",
        ),
        ConfigurationEntry(
            "quota.project.minute",
            "Calls a minute for the whole project; default: 10000, or more if Google allows.",
        ),
        ConfigurationEntry(
            "quota.project.day",
            "Calls a day for the whole project; default: 1000000, above which Google charges.",
        ),
        ConfigurationEntry(
            "base.url",
            "Address of the API; default: Google's. For sandboxes and proxies.",
            receives_secrets=True,
        ),
    )
    options: Sequence[Option] = OPTIONS
    oauth: OAuth | None = GoogleOAuth()

    def connect(self, context: ConnectionContext) -> Connector:
        """A connector for an instance. Raises BadInput if the configuration cannot work."""
        url = context.configuration.get("base.url") or API_URL
        client = Client(
            context.http,
            auth_of(context),
            self.name,
            context.pace,
            throttle_of,
            lambda send: Batches(send, url).send,
        )
        return GoogleCalendar(CalendarApi(client, url, Limits(context.configuration)))
