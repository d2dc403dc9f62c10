"""Numbers in requests, and the jobs that they name."""

from openbulk.api.ids import id_in
from openbulk.api.services import Services
from openbulk.domain.errors import BadInput, NotFound
from openbulk.domain.job import Job
from openbulk.storage.accounts import User

MAX_PAGE = 2_000


async def job_of(services: Services, user: User, job_id: str) -> Job:
    """A job of the user's organization. Raises NotFound."""
    found = id_in(job_id)
    job = None if found is None else await services.ledger.job(found)
    if job is None or job.organization_id != user.organization_id:
        raise NotFound(f"there is no bulk job {job_id!r}")
    return job


def number(text: str, name: str, *, least: int, most: int | None = None) -> int:
    """A whole number, cut off at the most that is given. Raises BadInput."""
    found = id_in(text)
    if found is None or found < least:
        raise BadInput(f"{name} is {text[:40]!r}; it has to be a whole number from {least} on")
    return found if most is None else min(found, most)
