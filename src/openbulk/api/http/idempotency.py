"""Idempotency keys: a retry with the same key gets the same job.

The two headers are those of Stripe and others (https://docs.stripe.com/api/idempotent_requests).
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
"""Header of an answer that repeats an earlier one."""
PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Identifies the request, so that a retry does not create a second job. A UUID "
    "is a good key.",
    "required": False,
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_KEY,
        "examples": ["8e03978e-40d5-43e8-bc93-6894a57f9324"],
    },
}


def idempotency_key_of(request: Request, *content: Any) -> IdempotencyKey | None:
    """The key of a request, with the digest of its content. None without the header.

    Raises BadInput.
    """
    header = request.headers.get("idempotency-key")
    if header is None:
        return None
    key = header.strip()
    if not key:  # the caller relies on a key and forgot to fill it in
        raise BadInput("Idempotency-Key is empty; give it a UUID, or leave the header out")
    if len(key) > MAX_KEY:
        raise BadInput(
            f"Idempotency-Key has {len(key)} characters; it can have {MAX_KEY}; a UUID is enough"
        )
    text = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    return IdempotencyKey(key, hashlib.sha256(text).hexdigest())


async def earlier_answer(
    response: Response, services: Services, instance: Instance, idempotency_key: IdempotencyKey
) -> dict[str, Any] | None:
    """The answer to an earlier request with this key; None if there was none.

    Raises Conflict if the content of that request differs.
    """
    earlier = await services.ledger.job_with_key(instance.id, idempotency_key.key)
    if earlier is None:
        return None
    job, earlier_key = earlier
    if earlier_key != idempotency_key:
        raise Conflict(
            f"job {job.id} was created with this Idempotency-Key and other content (the file, the "
            "object, metaData or the callback differs); send that content, or use a new key"
        )
    response.headers[REPLAYED] = "true"
    return present_new_job(job)
