"""The parts of a running server that handlers use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import aiohttp
from fastapi import Depends, Request

from openbulk.api.password_sign_in import PasswordSignIn
from openbulk.api.readiness import Readiness
from openbulk.api.refusal_limit import RefusalLimit
from openbulk.api.wrong_secrets import WrongSecretLimit
from openbulk.engine.applies import Applies
from openbulk.engine.approvals import PlanApprovals
from openbulk.engine.completion import Completion
from openbulk.engine.connections import Connections
from openbulk.engine.elements import Elements
from openbulk.engine.engine import Engine
from openbulk.engine.file_profiles import FileProfiles
from openbulk.engine.intake import Intake
from openbulk.engine.job_controls import JobControls
from openbulk.engine.job_deletion import JobDeletion
from openbulk.engine.limits import LimitCheck
from openbulk.engine.mending import Mending
from openbulk.engine.plans import PlanReader
from openbulk.engine.retries import Retries
from openbulk.engine.row_pages import RowPages
from openbulk.engine.undoing import Undoing
from openbulk.engine.verifications import VerificationReader
from openbulk.engine.workflows.runner import Workflows
from openbulk.formats.base import Format
from openbulk.identity.oidc_sign_in import OidcSignIn
from openbulk.identity.passwords import Passwords
from openbulk.identity.sign_in import SignIn
from openbulk.notify.networks import Networks
from openbulk.reading.readers import Readers
from openbulk.security import Sealer
from openbulk.storage.accounts import Accounts
from openbulk.storage.audit import AuditLog
from openbulk.storage.credentials import Credentials
from openbulk.storage.custom_elements import CustomElements
from openbulk.storage.deliveries import Deliveries
from openbulk.storage.files import FileStore
from openbulk.storage.identities import Identities
from openbulk.storage.identity_providers import IdentityProviders
from openbulk.storage.known_secrets import KnownSecrets
from openbulk.storage.ledger import Ledger
from openbulk.storage.links import Links
from openbulk.storage.mappings import Mappings
from openbulk.storage.mends import Mends
from openbulk.storage.people import People
from openbulk.storage.runs import Runs
from openbulk.storage.schedules import Schedules
from openbulk.storage.sessions import Sessions
from openbulk.storage.transformations import Transformations
from openbulk.storage.uploaded_files import UploadedFiles


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a handler may use. `app.py` makes it."""

    accounts: Accounts
    people: People
    limits: LimitCheck
    known_secrets: KnownSecrets
    audit: AuditLog
    sessions: Sessions
    credentials: Credentials
    links: Links
    passwords: Passwords
    sign_in: SignIn
    identity_providers: IdentityProviders
    identities: Identities
    oidc_sign_in: OidcSignIn
    sealer: Sealer
    ledger: Ledger
    deliveries: Deliveries
    runs: Runs
    schedules: Schedules
    transformations: Transformations
    mappings: Mappings
    mends: Mends
    files: FileStore
    uploaded_files: UploadedFiles
    file_profiles: FileProfiles
    inspectors: Readers
    """The processes that look into uploaded files."""
    engine: Engine
    intake: Intake
    completion: Completion
    job_controls: JobControls
    job_deletion: JobDeletion
    mending: Mending
    row_pages: RowPages
    retries: Retries
    undoing: Undoing
    plans: PlanReader
    approvals: PlanApprovals
    applies: Applies
    verifications: VerificationReader
    workflows: Workflows
    connections: Connections
    elements: Elements
    custom_elements: CustomElements
    formats: Mapping[str, Format]
    http: aiohttp.ClientSession
    allowed_networks: Networks
    """Networks that instances and callbacks may call beside public addresses."""
    password_sign_in: PasswordSignIn
    live_compatible: bool
    """Whether to answer as the live service does (`OPENBULK_COMPATIBILITY=live`)."""
    completed_status: str
    """The word for a finished job: `COMPLETE` or, as at the service we replace, `COMPLETED`."""
    max_upload_bytes: int
    readiness: Readiness
    metrics_tokens: Sequence[str] = ()
    """Tokens that open `GET /metrics`, beside callers' secrets."""
    wrong_secrets: WrongSecretLimit = field(default_factory=WrongSecretLimit)
    refusals: RefusalLimit = field(default_factory=RefusalLimit)


async def services_of(request: Request) -> Services:
    """The services of the app that handles a request."""
    services: Services = request.app.state.services
    return services


ServicesOfApp = Annotated[Services, Depends(services_of)]
