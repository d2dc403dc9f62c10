"""Events on their way into calendars: made, changed or deleted, each once, and left alone where they are right."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from openbulk.connectors.fields import FieldError
from openbulk.connectors.googlecalendar.api import CalendarApi
from openbulk.connectors.googlecalendar.diff import changes
from openbulk.connectors.googlecalendar.errors import DUPLICATE, refusal
from openbulk.connectors.googlecalendar.events import (
    KEY_PROPERTY,
    RUN_PROPERTY,
    Plan,
    draft_of,
    encoded,
    fields_of,
    imported_event,
    is_import,
    new_event,
    plan_of,
    whole,
)
from openbulk.connectors.googlecalendar.identity import ICAL_UID, ID, Identity, event_id
from openbulk.connectors.googlecalendar.lookup import (
    GONE,
    MAX_MIRRORS,
    Event,
    Lookup,
    NotTaken,
    checked,
    named,
)
from openbulk.connectors.googlecalendar.times import choices_of, needs_zone, settled, with_iso_dates
from openbulk.connectors.http import Answer
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Target

MAX_GENERATIONS = 20


class EventUploads:
    """Writes records into the calendars of one account."""

    def __init__(self, api: CalendarApi) -> None:
        self._api = api
        self._lookup = Lookup(api)
        self._missing: dict[tuple[str, str], NotTaken] = {}
        self._actions: Mapping[Action, Callable[[Plan, Target], Awaitable[Outcome]]] = {
            Action.CREATE: self._create,
            Action.UPDATE: self._update,
            Action.UPSERT: self._upsert,
            Action.DELETE: self._delete,
        }

    async def write(self, record: Record, target: Target) -> Outcome:
        """Do the target's action with one record. Raises ServiceError."""
        try:
            return await self._actions[target.action](await self._planned(record, target), target)
        except FieldError as error:
            return Outcome.failed(record.row, error.message, field=error.field)
        except OverflowError:
            return Outcome.failed(
                record.row, "a date is too early or too late; calendars go from year 1 to 9999"
            )
        except NotTaken as error:
            self._remember_missing(error, target)
            return Outcome.failed(record.row, str(error), provider_message=error.refused.message)

    async def _planned(self, record: Record, target: Target) -> Plan:
        choices = choices_of(target.options)
        draft = draft_of(
            replace(record, values=with_iso_dates(record.values, choices.order)), target
        )
        if (missing := self._missing.get((target.run, draft.calendar))) is not None:
            raise missing
        body = draft.body
        if target.action is not Action.DELETE:
            zone = choices.zone
            if zone is None and needs_zone(body):
                zone = await self._lookup.zone_of(draft)
            body = settled(
                body, zone=zone or "UTC", choices=choices, is_update=target.action is Action.UPDATE
            )
        return plan_of(draft, body, target)

    def _remember_missing(self, error: NotTaken, target: Target) -> None:
        """A calendar that is not there costs a job one call, not one for each of its rows."""
        if target.run and error.refused.status == 404 and error.calendar:
            if len(self._missing) == MAX_MIRRORS:
                self._missing.clear()
            self._missing[target.run, error.calendar] = error

    # --- the four actions ---

    async def _create(self, plan: Plan, target: Target) -> Outcome:
        identity = plan.identity
        if identity is not None and identity.occurrence:
            return await self._change_occurrence(plan, target)
        if is_import(plan) and identity is not None:
            return await self._import(plan, identity)
        if identity is None:
            return await self._insert(plan, event_id(plan.key))
        return await self._insert_as(plan, identity.value)

    async def _update(self, plan: Plan, target: Target) -> Outcome:
        event = await self._lookup.found(plan, target)
        identity = named(plan)
        if event is not None:
            changed = await self._change(plan, event, target)
            if changed is not None:
                return changed
        elif identity.occurrence:
            return await self._change_occurrence(plan, target)
        raise FieldError(
            identity.field,
            f"calendar {plan.calendar!r} has no event with {identity}; the action upsert would make it",
        )

    async def _upsert(self, plan: Plan, target: Target) -> Outcome:
        event = await self._lookup.found(plan, target)
        if event is not None and (changed := await self._change(plan, event, target)) is not None:
            return changed
        if plan.is_cancelled and not named(plan).occurrence:
            return Outcome(plan.row, OutcomeKind.UNCHANGED)
        if named(plan).occurrence:
            return await self._change_occurrence(plan, target)
        return await self._make(plan, target)

    async def _delete(self, plan: Plan, target: Target) -> Outcome:
        identity = named(plan)
        found = identity.value if identity.field == ID else None
        if identity.occurrence:
            found = await self._occurrence_id(plan, target)
        elif found is None:
            event = await self._lookup.found(plan, target)
            if event is None:
                return Outcome(plan.row, OutcomeKind.UNCHANGED)
            found = str(event["id"])
        return await self._remove(plan, found, target)

    # --- one event ---

    async def _make(self, plan: Plan, target: Target) -> Outcome:
        """Make an event that the calendar does not show; one that was deleted keeps its id, and gets its next life."""
        identity = named(plan)
        if identity.field == ID:
            return await self._insert_or_change(plan, identity.value, target) or await self._revive(
                plan, identity.value
            )
        if identity.field == ICAL_UID:
            return await self._import(plan, identity, target)
        for generation in range(MAX_GENERATIONS):
            made = event_id(f"{identity.field}={identity.value}", generation)
            if (outcome := await self._insert_or_change(plan, made, target)) is not None:
                return outcome
        raise FieldError(
            identity.field,
            f"the event with {identity} was made and deleted {MAX_GENERATIONS} times; give it another",
        )

    async def _insert_or_change(self, plan: Plan, new_id: str, target: Target) -> Outcome | None:
        """Make an event, or change the one that has the id; None where that one was deleted."""
        answer = await self._post(plan, plan.events_path, new_event(plan, new_id, _run_mark(plan)))
        if answer is not None:
            self._lookup.remember(plan, target, answer.json())
            return _done(plan, OutcomeKind.CREATED, new_id, answer.json())
        event = await self._lookup.seen(plan, new_id)
        if event.get("status") == "cancelled":
            return None
        self._lookup.remember(plan, target, event)
        return await self._change(plan, event, target)

    async def _insert(self, plan: Plan, new_id: str) -> Outcome:
        """Make an event with an id of ours: where it is taken, an earlier sending of this record has taken it."""
        answer = await self._post(plan, plan.events_path, new_event(plan, new_id, {}))
        return (
            Outcome(plan.row, OutcomeKind.CREATED, new_id)
            if answer is None
            else _done(plan, OutcomeKind.CREATED, new_id, answer.json())
        )

    async def _insert_as(self, plan: Plan, new_id: str) -> Outcome:
        """Make an event with the caller's id."""
        body = new_event(plan, new_id, {KEY_PROPERTY: plan.mark})
        if (answer := await self._post(plan, plan.events_path, body)) is not None:
            return _done(plan, OutcomeKind.CREATED, new_id, answer.json())
        event = await self._lookup.seen(plan, new_id)
        if _private(event, KEY_PROPERTY) == plan.mark:
            return Outcome(plan.row, OutcomeKind.CREATED, new_id)
        raise _taken("id", new_id)

    async def _import(
        self, plan: Plan, identity: Identity, target: Target | None = None
    ) -> Outcome:
        """Make a private copy of an event that was made elsewhere.

        What Google does with an iCalUID that it has already is not documented, and was seen to differ: so it is
        only imported where it is not there, and looked at where Google says that it is.
        """
        body = imported_event(plan, identity.value, {KEY_PROPERTY: plan.mark})
        answer = await self._post(plan, f"{plan.events_path}/import", body, _without_mail(plan))
        if answer is not None:
            event = answer.json()
            if target is not None:
                self._lookup.remember(plan, target, event)
            return Outcome(plan.row, OutcomeKind.CREATED, str(event["id"]))
        event = await self._lookup.one(plan, identity, {"showDeleted": "true"})
        if event is None:
            raise _taken(ICAL_UID, identity.value)
        if event.get("status") == "cancelled":
            return await self._revive(plan, str(event["id"]))
        if _private(event, KEY_PROPERTY) == plan.mark:
            return Outcome(plan.row, OutcomeKind.CREATED, str(event["id"]))
        changed = None if target is None else await self._change(plan, event, target)
        if changed is None:
            raise _taken(ICAL_UID, identity.value)
        return changed

    async def _revive(self, plan: Plan, old_id: str) -> Outcome:
        """Bring back an event that was deleted, as the row has it. Google does not allow that to everybody."""
        body = encoded({"status": "confirmed", **fields_of(plan)})
        answer = await self._api.call(
            "PUT", plan.event_path(old_id), plan.calendar, params=plan.parameters, body=body
        )
        if answer.is_success:
            return _done(plan, OutcomeKind.CREATED, old_id, answer.json())
        raise NotTaken(
            refusal(answer),
            f"the event {old_id!r} was deleted, and its id stays taken; give the row another id: ",
        )

    async def _change(self, plan: Plan, event: Event, target: Target) -> Outcome | None:
        """Write to an event what the row has otherwise; None where it is gone."""
        if plan.is_cancelled:
            if event.get("status") == "cancelled":
                return Outcome(plan.row, OutcomeKind.UNCHANGED, event["id"])
            return await self._remove(plan, str(event["id"]), target)
        different = changes(fields_of(plan), event)
        if not different:
            is_ours = bool(plan.run) and _private(event, RUN_PROPERTY) == plan.run
            return Outcome(
                plan.row, OutcomeKind.CREATED if is_ours else OutcomeKind.UNCHANGED, event["id"]
            )
        answer = await self._api.call(
            "PATCH",
            plan.event_path(event["id"]),
            plan.calendar,
            params=plan.parameters,
            body=patch_of(different),
        )
        if answer.status in GONE:
            self._lookup.forget(plan, target, str(event["id"]))
            return None
        changed = checked(answer, plan).json()
        self._lookup.remember(plan, target, changed)
        return _done(plan, OutcomeKind.UPDATED, str(event["id"]), changed)

    async def _remove(self, plan: Plan, old_id: str, target: Target) -> Outcome:
        path = plan.event_path(old_id)
        answer = await self._api.call("DELETE", path, plan.calendar, params=_mail(plan))
        self._lookup.forget(plan, target, old_id)
        if answer.status == 404:
            await self._lookup.zone_of(
                plan
            )  # where it is the calendar that is not there, that is refused
            return Outcome(plan.row, OutcomeKind.UNCHANGED, old_id)
        if answer.status != 410:
            checked(answer, plan)
        return Outcome(plan.row, OutcomeKind.DELETED, old_id)

    # --- occurrences of a series ---

    async def _change_occurrence(self, plan: Plan, target: Target) -> Outcome:
        """Write one occurrence that is as its series has it until now."""
        occurrence = await self._occurrence_id(plan, target)
        if plan.is_cancelled:
            return await self._remove(plan, occurrence, target)
        body = patch_of(fields_of(plan))
        answer = await self._api.call(
            "PATCH", plan.event_path(occurrence), plan.calendar, params=plan.parameters, body=body
        )
        if answer.status in GONE:
            raise FieldError(
                "originalStartTime", f"the series {named(plan)} has no occurrence at that time"
            )
        changed = checked(answer, plan).json()
        self._lookup.remember(plan, target, changed)
        return _done(plan, OutcomeKind.UPDATED, occurrence, changed)

    async def _occurrence_id(self, plan: Plan, target: Target) -> str:
        """The id of an occurrence: its series' and its original start
        (https://developers.google.com/workspace/calendar/api/guides/recurringevents)."""
        identity = named(plan)
        series = plan.series or (whole(identity).value if identity.field == ID else None)
        if series is None:
            event = await self._lookup.found(replace(plan, identity=whole(identity)), target)
            if event is None:
                raise FieldError(
                    identity.field,
                    f"there is no series with {identity} in the calendar; its row has to come first",
                )
            series = str(event["id"])
        return f"{series}_{identity.occurrence}"

    # --- calls ---

    async def _post(
        self, plan: Plan, path: str, body: bytes, parameters: Mapping[str, str] | None = None
    ) -> Answer | None:
        """Make an event; None where its id is taken."""
        answer = await self._api.call(
            "POST",
            path,
            plan.calendar,
            params=plan.parameters if parameters is None else parameters,
            body=body,
        )
        if not answer.is_success and refusal(answer).reason == DUPLICATE:
            return None
        return checked(answer, plan)


def patch_of(fields: Mapping[str, Any]) -> bytes:
    """The body of `events.patch`: it merges objects, so that what one field replaces in another has to be cleared:
    the date where there is a time now, and the reminders of the event's own where it has the calendar's."""
    body = dict(fields)
    for name in ("start", "end"):
        if name in body:
            body[name] = {**_cleared(body[name]), **body[name]}
    if body.get("reminders", {}).get("useDefault"):
        body["reminders"] = {"overrides": [], **body["reminders"]}
    return encoded(body)


def _cleared(place: Mapping[str, Any]) -> Mapping[str, None]:
    """What a new start or end replaces; a zone alone replaces nothing."""
    if place.get("date"):
        return {"dateTime": None, "timeZone": None}
    return {"date": None} if place.get("dateTime") else {}


def _done(plan: Plan, kind: OutcomeKind, event_id: str, event: Event) -> Outcome:
    """The outcome of a row that was written; `event` is what Google answered."""
    return Outcome(plan.row, kind, event_id, mails_outside=_mails_outside(plan, event))


def _mails_outside(plan: Plan, event: Event) -> bool:
    """Whether attendees of another domain than the account's were sent mail."""
    if plan.parameters["sendUpdates"] == "none":
        return False
    own = _domain(event.get("creator", {}).get("email", ""))
    return any(_domain(one.get("email", "")) != own for one in event.get("attendees", ()))


def _domain(email: str) -> str:
    return email.rpartition("@")[2].lower()


def _private(event: Event, name: str) -> str | None:
    value = event.get("extendedProperties", {}).get("private", {}).get(name)
    return None if value is None else str(value)


def _run_mark(plan: Plan) -> Mapping[str, str]:
    return {RUN_PROPERTY: plan.run} if plan.run else {}


def _mail(plan: Plan) -> Mapping[str, str]:
    return {"sendUpdates": plan.parameters["sendUpdates"]}


def _without_mail(plan: Plan) -> Mapping[str, str]:
    """The parameters of `events.import`, which sends no mail and knows no `sendUpdates`."""
    return {name: value for name, value in plan.parameters.items() if name != "sendUpdates"}


def _taken(field: str, value: str) -> FieldError:
    return FieldError(
        field,
        f"an event with the {field} {value!r} exists, or did before it was deleted; use another or none, or the "
        "action upsert to change it",
    )
