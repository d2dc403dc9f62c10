"""The parts of a running server that handlers use."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import aiohttp
from fastapi import Depends, Request

from openbulk.connectors.base import Provider
from openbulk.engine.completion import Completion
from openbulk.engine.connections import Connections
from openbulk.engine.engine import Engine
from openbulk.engine.intake import Intake
from openbulk.engine.workflows.runner import Workflows
from openbulk.formats.base import Format
from openbulk.security import Sealer
from openbulk.storage.accounts import Accounts
from openbulk.storage.files import FileStore
from openbulk.storage.ledger import Ledger
from openbulk.storage.runs import Runs
from openbulk.storage.schedules import Schedules


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a handler may use. `app.py` makes it."""

    accounts: Accounts
    sealer: Sealer
    ledger: Ledger
    runs: Runs
    schedules: Schedules
    files: FileStore
    engine: Engine
    intake: Intake
    completion: Completion
    workflows: Workflows
    connections: Connections
    providers: Mapping[str, Provider]
    offered: Mapping[str, Provider]
    """Those that instances can be created for."""
    formats: Mapping[str, Format]
    http: aiohttp.ClientSession
    allow_private_addresses: bool
    live_compatible: bool
    """Whether to answer as the live service does (`OPENBULK_COMPATIBILITY=live`)."""
    completed_status: str
    """The word for a finished job: `COMPLETE` or, as at the service we replace, `COMPLETED`."""
    max_upload_bytes: int


async def services_of(request: Request) -> Services:
    """The services of the app that handles a request."""
    services: Services = request.app.state.services
    return services


ServicesOfApp = Annotated[Services, Depends(services_of)]
