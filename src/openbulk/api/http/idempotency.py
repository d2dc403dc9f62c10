"""Requests that are sent again: the same key and content are answered with the same job.

The header is that of Stripe and others (https://docs.stripe.com/api/idempotent_requests), and so is the one that says
that an answer is a repeated one.
"""

import hashlib
from typing import Any

import orjson
from fastapi import Request, Response

from openbulk.api.services import Services
from openbulk.api.wire.jobs import present_new_job
from openbulk.domain.errors import BadInput, Conflict
from openbulk.domain.instance import Instance
from openbulk.domain.job import IdempotencyKey

MAX_KEY = 255
REPLAYED = "Idempotent-Replayed"
PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "sent again with the same key, the request is answered with the same job, and not done twice",
    "required": False,
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_KEY,
        "examples": ["8e03978e-40d5-43e8-bc93-6894a57f9324"],
    },
}


def idempotency_key_of(request: Request, *content: Any) -> IdempotencyKey | None:
    """By what a request is known again: its key, and all that it asks for. None without a key. Raises BadInput."""
    header = request.headers.get("idempotency-key")
    if header is None:
        return None
    key = header.strip()
    if not key:  # the caller relies on a key that was never filled in
        raise BadInput("Idempotency-Key is empty; give it a UUID, or leave the header out")
    if len(key) > MAX_KEY:
        raise BadInput(
            f"Idempotency-Key has {len(key)} characters; it can have {MAX_KEY}, a UUID is enough"
        )
    text = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    return IdempotencyKey(key, hashlib.sha256(text).hexdigest())


async def earlier_answer(
    response: Response, services: Services, instance: Instance, idempotency_key: IdempotencyKey
) -> dict[str, Any] | None:
    """The answer that was given to the same request before; None where there was none. Raises Conflict."""
    found = await services.ledger.job_with_key(instance.id, idempotency_key.key)
    if found is None:
        return None
    job, before = found
    if before != idempotency_key:
        raise Conflict(
            f"job {job.id} was asked for with this Idempotency-Key and another content (the file, the object, metaData "
            "or the callback differ); send what was sent then, or take a new key"
        )
    response.headers[REPLAYED] = "true"
    return present_new_job(job)
