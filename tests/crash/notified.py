"""Whether callers were notified, and told the truth."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from typing import Any

from standardwebhooks import Webhook

from crash.receiver import KEY, Callback
from crash.scenario import Upload
from crash.seen import Attempt, LedgerJob, Seen


def broken_notification(seen: Seen, attempt: Attempt, job: LedgerJob) -> Iterator[str]:
    """What is wrong with the callbacks of a job, in words."""
    if attempt.work.refusals is None or not job.is_finished:
        return
    callbacks = [one for one in seen.callbacks if one.tag == attempt.tag]
    if not any(one.status == 200 for one in callbacks):
        yield f"its caller was not notified ({len(callbacks)} attempts)"
    if len({one.headers.get("webhook-id") for one in callbacks}) > 1:
        yield "its callbacks have several ids"
    for callback in callbacks:
        yield from _signed(callback)
        yield from _truthful(attempt, job, callback)


def _signed(callback: Callback) -> Iterator[str]:
    digest = base64.b64encode(hmac.digest(KEY.encode(), callback.body, hashlib.sha256)).decode()
    if callback.headers.get("elements-webhook-signature") != f"sha256={digest}":
        yield "a callback is not signed as SAP's are"
    try:
        Webhook(KEY.encode()).verify(callback.body, dict(callback.headers))
    except Exception as error:  # the library has several, none with a common base
        yield f"a callback is not signed as Standard Webhooks are: {error!r}"


def _truthful(attempt: Attempt, job: LedgerJob, callback: Callback) -> Iterator[str]:
    shown: Mapping[str, Any] = json.loads(callback.body)
    if int(shown["id"]) != job.id or shown["status"] != job.status:
        yield f"a callback says {shown['id']} {shown['status']} instead of {job.id} {job.status}"
    count = shown["recordsCount"] if "recordsCount" in shown else shown["recordCount"]
    expected = len(job.kinds) if isinstance(attempt.work, Upload) else job.records
    if count != expected:
        yield f"a callback says {count} records"
    if shown.get("callback-payload") != {"tag": attempt.tag}:
        yield f"a callback brings back {shown.get('callback-payload')}"
