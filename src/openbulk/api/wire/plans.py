"""Plans on the wire: counts and forecast, and rows with their differences."""

from dataclasses import asdict
from typing import Annotated, Any, Literal, NotRequired

from pydantic import with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from openbulk.api.wire.jobs import present_mapping_of
from openbulk.api.wire.schema import EXACT, EXAMPLE_TIME, EpochMs, doc, epoch_ms, without_none
from openbulk.domain.job import Job
from openbulk.domain.plan import Change, PlannedKind
from openbulk.engine.plans import Forecast, PlanOverview
from openbulk.engine.quota.forecast import BudgetForecast, UsageForecast
from openbulk.engine.slices.plans.plan_rows import PlanRow

KIND_WORDS = {
    PlannedKind.CREATED: "created",
    PlannedKind.UPDATED: "updated",
    PlannedKind.UPSERTED: "upserted",
    PlannedKind.UNCHANGED: "unchanged",
    PlannedKind.DELETED: "deleted",
    PlannedKind.NOT_FOUND: "notFound",
    PlannedKind.REFUSED: "refused",
    PlannedKind.AMBIGUOUS: "ambiguous",
    PlannedKind.NOT_COMPARED: "notCompared",
    PlannedKind.REVERSED: "reversed",
    PlannedKind.KEPT: "kept",
    PlannedKind.GONE_ALREADY: "goneAlready",
    PlannedKind.NOT_REVERSIBLE: "notReversible",
}
_OF_UNDOS = ("reversed", "kept", "goneAlready", "notReversible")
KindWord = Literal[
    "created",
    "updated",
    "upserted",
    "unchanged",
    "deleted",
    "notFound",
    "refused",
    "ambiguous",
    "notCompared",
    "reversed",
    "kept",
    "goneAlready",
    "notReversible",
]
_DIGEST = "5d41402abc4b2a76b9719d911017c592ae6b1d5c9a5b8c0f3e2d1c0b9a897867"


@with_config(EXACT)
class PlanCounts(TypedDict):
    """What would become of the rows of a file. Each row counts once."""

    created: Annotated[int, doc("Records that the job would create.", 1)]
    updated: Annotated[int, doc("Records that it would change.", 0)]
    upserted: Annotated[
        int, doc("Records that it would create or change: the service does not say which.", 0)
    ]
    unchanged: Annotated[int, doc("Records that already are as their rows say.", 0)]
    deleted: Annotated[int, doc("Records that it would delete.", 0)]
    notFound: Annotated[int, doc("Records to delete that the service does not have.", 0)]
    refused: Annotated[int, doc("Rows that would fail; each says why.", 1)]
    ambiguous: Annotated[int, doc("Rows that would fail, as they mean several records.", 0)]
    notCompared: Annotated[
        int, doc("Rows that can be read, and of which nobody can say what would become.", 0)
    ]
    reversed: NotRequired[Annotated[int, doc("Of an undo alone: records that it would put back.")]]
    kept: NotRequired[
        Annotated[int, doc("Of an undo alone: records that somebody has changed since.")]
    ]
    goneAlready: NotRequired[
        Annotated[int, doc("Of an undo alone: records that somebody has deleted since.")]
    ]
    notReversible: NotRequired[
        Annotated[int, doc("Of an undo alone: records that cannot be put back.")]
    ]


@with_config(EXACT)
class PlanLimit(TypedDict):
    """A limit of the service that the calls of a plan count on."""

    limit: Annotated[str, doc("The limit, in a sentence.", "Google allows 600 calls a minute")]
    calls: Annotated[int, doc("Calls that it allows.", 600)]
    seconds: Annotated[float, doc("The time in which it allows them.", 60)]
    left: Annotated[int, doc("Calls that are left now.", 600)]
    planned: Annotated[int, doc("Calls of the plan that count on it, look-ups included.", 31)]
    isMet: Annotated[bool, doc("Whether the plan takes more calls than are left now.", False)]
    secondsUntilMet: NotRequired[
        Annotated[float, doc("Seconds after its start at which the job would meet it.")]
    ]


@with_config(EXACT)
class PlanUsage(TypedDict):
    """A limit of the service on something else than calls."""

    limit: Annotated[
        str, doc("The limit, in a sentence.", "Google lets one user create 60 calendars")
    ]
    counted: Annotated[
        Literal["created", "mailsOutside"],
        doc("What counts: records that are created, or mails to people outside.", "created"),
    ]
    number: Annotated[int, doc("How many it allows.", 60)]
    planned: Annotated[int, doc("How many the plan has.", 1)]
    isMet: Annotated[bool, doc("Whether the plan alone goes beyond it.", False)]
    secondsUntilMet: NotRequired[
        Annotated[float, doc("Seconds after its start at which the job would meet it.")]
    ]


@with_config(EXACT)
class PlanForecast(TypedDict):
    """What carrying a plan out would cost."""

    calls: Annotated[
        int,
        doc("Calls that would write. A database takes none.", 0),
    ]
    lookups: Annotated[int, doc("Calls that the job makes to find records.", 0)]
    waitSeconds: Annotated[
        float, doc("Seconds that the limits of the service would make the job wait.", 0)
    ]
    limits: Annotated[list[PlanLimit], doc("The limits that these calls count on.", [])]
    usage: Annotated[list[PlanUsage], doc("Limits of the service on other things than calls.", [])]
    mails: Annotated[int, doc("Mails that the service would send to people.", 0)]
    mailsOutside: Annotated[int, doc("Those of them that would leave the organization.", 0)]


@with_config(EXACT)
class Plan(TypedDict):
    """What a job would do. `/bulk/{job_id}/plan/rows` shows it row by row."""

    id: Annotated[str, doc("Id of the job.", "1")]
    status: Annotated[str, doc("PLANNING, then PLANNED; or the end of another one.", "PLANNED")]
    completeness: Annotated[
        Literal["complete", "by key", "none"],
        doc(
            "`complete`: each row was compared with what the service holds. `by key`: records were "
            "found, and some rows are not decided: they depend on other rows of the file, or the "
            "service refuses them by rules of its own. `none`: rows were read and checked, and "
            "nothing was compared.",
            "complete",
        ),
    ]
    rows: Annotated[int, doc("Rows that are planned.", 2)]
    counts: PlanCounts
    mapping: NotRequired[
        Annotated[dict[str, Any], doc("How the columns of the file make the fields.")]
    ]
    savedMapping: NotRequired[
        Annotated[
            dict[str, Any],
            doc("The saved mapping that it is: its name and version."),
        ]
    ]
    repeatedRows: Annotated[
        int, doc("Rows that mean the same record as an earlier row of the file.", 0)
    ]
    forecast: PlanForecast
    digest: NotRequired[Annotated[str, doc("Identifies the plan, once it is made.", _DIGEST)]]
    expiresAt: NotRequired[
        Annotated[
            EpochMs,
            doc("Until when the plan holds, in milliseconds since 1970 (UTC).", EXAMPLE_TIME),
        ]
    ]


@with_config(EXACT)
class FieldChange(TypedDict):
    """A field that a job would change; null for a field that is not set."""

    before: Annotated[Any, doc("Its value at the service.", "Choir")]
    after: Annotated[Any, doc("Its value in the row.", "Choir practice")]


@with_config(EXACT)
class PlannedEntry(TypedDict):
    """What a calendar would show of a planned event."""

    title: Annotated[str, doc("Title of the event.", "Choir practice")]
    start: Annotated[
        str,
        doc("Its date, or its date and time in its own time zone.", "2026-06-04T18:00:00+02:00"),
    ]
    end: Annotated[
        str,
        doc("As `start`; of whole days, the day behind them.", "2026-06-04T19:30:00+02:00"),
    ]
    repeats: Annotated[bool, doc("Whether it is the first date of a series.", False)]


@with_config(EXACT)
class PlannedRow(TypedDict):
    """What a job would do with one row of its file."""

    rowNum: Annotated[int, doc("Number of the row, counted from 1.", 1)]
    lineNum: NotRequired[
        Annotated[int, doc("Line of the file on which the row starts. The header is line 1.", 2)]
    ]
    kind: Annotated[KindWord, doc("What would become of the record.", "created")]
    id: NotRequired[Annotated[str, doc("Id of the record that the service has.")]]
    changes: NotRequired[
        Annotated[
            dict[str, FieldChange], doc("For an updated record, each field before and after.")
        ]
    ]
    matches: NotRequired[Annotated[int, doc("For an ambiguous row, how many records it may mean.")]]
    error: NotRequired[Annotated[str, doc("Why the row would fail, and what would be right.")]]
    field: NotRequired[Annotated[str, doc("Field with the wrong value.")]]
    response: NotRequired[Annotated[str, doc("Error message of the service.")]]
    remark: NotRequired[
        Annotated[str, doc("What else the row would do, or what would be left out of it.")]
    ]
    repeated: NotRequired[
        Annotated[bool, doc("True if an earlier row of the file means the same record.")]
    ]
    mails: NotRequired[Annotated[int, doc("People whom the service would mail about it.")]]
    entry: NotRequired[
        Annotated[
            PlannedEntry,
            doc("Of an event that is created, changed or deleted: what its calendar shows of it."),
        ]
    ]


def present_plan(job: Job, plan: PlanOverview) -> dict[str, Any]:
    """A plan, without its rows."""
    summary = plan.summary
    shape = {
        "id": str(job.id),
        "status": job.status.value,
        "completeness": summary.completeness.value,
        **present_mapping_of(job),
        "rows": sum(summary.kinds.values()),
        "counts": {
            word: summary.kinds.get(kind, 0)
            for kind, word in KIND_WORDS.items()
            if job.undo or word not in _OF_UNDOS
        },
        "repeatedRows": summary.repeated,
        "forecast": {
            "calls": summary.calls,
            "lookups": summary.lookups,
            "waitSeconds": round(plan.forecast.seconds, 1),
            "limits": [_present_limit(one, plan.forecast) for one in plan.forecast.budgets],
            "usage": [_present_usage(one) for one in plan.forecast.usage],
            "mails": summary.mails,
            "mailsOutside": summary.mails_outside,
        },
        "digest": plan.digest,
        "expiresAt": epoch_ms(plan.expires_at),
    }
    return without_none(shape)


def _present_limit(of_budget: BudgetForecast, forecast: Forecast) -> dict[str, Any]:
    shape = {
        "limit": of_budget.budget.sentence(of_budget.limit),
        "calls": of_budget.limit,
        "seconds": of_budget.budget.seconds,
        "left": of_budget.left,
        "planned": of_budget.calls,
        "isMet": of_budget.is_met,
        "secondsUntilMet": _tenths_of(forecast.seconds_until(of_budget)),
    }
    return without_none(shape)


def _present_usage(forecast: UsageForecast) -> dict[str, Any]:
    shape = {
        "limit": forecast.limit.sentence,
        "counted": forecast.limit.counted.value,
        "number": forecast.limit.number,
        "planned": forecast.planned,
        "isMet": forecast.is_met,
        "secondsUntilMet": _tenths_of(forecast.seconds),
    }
    return without_none(shape)


def _tenths_of(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def present_plan_row(row: PlanRow) -> dict[str, Any]:
    """What a job would do with one row."""
    planned, problem = row.planned, row.planned.problem
    changes = {name: _present_change(change) for name, change in planned.changes.items()}
    shape = {
        "rowNum": planned.row,
        "lineNum": row.line,
        "kind": KIND_WORDS[planned.kind],
        "id": planned.id,
        "changes": changes or None,
        "matches": planned.matches or None,
        "error": problem and problem.message,
        "field": problem and problem.field,
        "response": problem and problem.provider_message,
        "remark": planned.remark or None,
        "repeated": row.is_repeated or None,
        "mails": planned.mails or None,
        "entry": planned.entry and asdict(planned.entry),
    }
    return without_none(shape)


def _present_change(change: Change) -> dict[str, Any]:
    return {"before": change.before, "after": change.after}
