"""Makes the work of jobs that undo earlier ones."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from openbulk.connectors.base import Features
from openbulk.connectors.targets import resolve_target
from openbulk.domain.errors import BadInput, Conflict, NotFound, SignInAgain
from openbulk.domain.job import Job, Undo, Upload
from openbulk.domain.records import OutcomeKind
from openbulk.engine.connections import Connections
from openbulk.storage.ledger import Ledger
from openbulk.storage.undo import Undos

_KEPT_OPTIONS = ("calendarId", "path", "timeZone", "callback-payload")
"""Keys of `metaData` that hold for the undo, too."""

_WRITTEN = frozenset(
    {
        OutcomeKind.CREATED,
        OutcomeKind.UPDATED,
        OutcomeKind.UPSERTED,
        OutcomeKind.DELETED,
        OutcomeKind.UNKNOWN,
        OutcomeKind.REVERSED,
    }
)
"""What became of rows that an undo has something to do for, or to say about."""


class Undoing:
    """Says whether jobs can be undone."""

    def __init__(self, undos: Undos, ledger: Ledger, connections: Connections) -> None:
        self._undos = undos
        self._ledger = ledger
        self._connections = connections

    async def require_possible(self, job: Job, undo: Undo) -> None:
        """Raise Conflict or BadInput, with what to do, if a job cannot be undone."""
        _require_written(job)
        if undo.rows is not None:
            await self._require_rows(job, undo.rows)
        await self._require_ability(job)
        if not await self._undos.has_any(job.id):
            raise Conflict(
                f"nothing is kept of what job {job.id} has overwritten: it wrote nothing, or "
                "OPENBULK_KEEP_UNDO_DAYS have passed, or were 0 when it ran; upload the records as "
                "they were"
            )

    async def _require_rows(self, job: Job, rows: Sequence[int]) -> None:
        """Raise BadInput if the job does not have one of the rows, Conflict if it wrote nothing."""
        kinds = None if job.records is None else await self._ledger.row_kinds(job)
        for row in rows:
            if kinds is None or not kinds.has(row):
                raise BadInput(
                    f"body.rows has {row}, and job {job.id} has no such row; "
                    f"/bulk/{job.id}/results has the numbers of its rows (openbulk.row)"
                )
            if kinds.of(row) not in _WRITTEN:
                raise Conflict(
                    f"body.rows has {row}, and that row of job {job.id} has changed nothing at the "
                    "service; leave it out"
                )

    async def _require_ability(self, job: Job) -> None:
        """Raise BadInput if the connector cannot undo the job."""
        try:
            connector = (await self._connections.to(job.instance_id)).connector
        except (BadInput, NotFound, SignInAgain):
            return  # the job will say why it waits, or ends
        objects = await connector.objects()
        target = resolve_target(job.upload.target, objects)
        features = objects.get(target.object, Features())
        if target.action in features.undoes:
            return
        raise BadInput(
            f"an upload with action {target.action.value} into {target.object!r} cannot be undone: "
            f"{_why(target.object, objects)}; upload the records as they were"
        )


def _why(name: str, objects: Mapping[str, Features]) -> str:
    able = [one for one, features in objects.items() if features.undoes]
    if not able:
        return "openbulk does not read the records of this service before it writes them"
    if name in able:
        return "the object has no undo for this action"
    return f"of this service, openbulk can undo {', '.join(able)}"


def _require_written(job: Job) -> None:
    """Raise Conflict if a job has nothing that could be undone, or not yet."""
    if job.is_download:
        raise Conflict(f"job {job.id} is a download: it has changed nothing at the service")
    if job.is_plan:
        raise Conflict(f"job {job.id} is a plan: it has written nothing; there is nothing to undo")
    if job.verification is not None:
        raise Conflict(
            f"job {job.id} is a verification: it has written nothing; there is nothing to undo"
        )
    if not job.is_finished:
        raise Conflict(
            f"job {job.id} is {job.status.value}; cancel it with PUT /bulk/{job.id}/cancel or wait "
            "for its end, then undo it"
        )


def work_of_undo(
    job: Job,
    file: str,
    undo: Undo,
    options: Mapping[str, object],
    callback_url: str | None,
    *,
    is_plan: bool,
) -> Upload:
    """The work of a job that undoes an earlier one. `file` is the name of its file.

    The service mails nobody, unless `options` say so.
    """
    upload = job.upload
    kept = {name: value for name, value in upload.target.options.items() if name in _KEPT_OPTIONS}
    target = replace(upload.target, options={**kept, **options}, unused_options=(), mapping=None)
    planned = hashlib.sha256(f"undo of {upload.file}".encode()).hexdigest() if is_plan else None
    return Upload(
        target, file, upload.file_size, "jsonl", callback_url, planned_file=planned, undo=undo
    )
