"""Callbacks of jobs on the wire."""

from typing import Annotated, Any, NotRequired

from pydantic import with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from openbulk.api.wire.masking import mask_url
from openbulk.api.wire.schema import EXACT, EpochMs, doc, epoch_ms, without_none
from openbulk.storage.deliveries import Delivery


@with_config(EXACT)
class CallbackShape(TypedDict):
    """How the end of a job is announced at its callback URL."""

    id: Annotated[str, doc("The `webhook-id` that the receiver gets.", "msg_1")]
    url: Annotated[
        str, doc("The callback URL, with its secrets masked.", "https://example.com/hooks/openbulk")
    ]
    attempts: Annotated[int, doc("Attempts that were made.", 1)]
    result: NotRequired[
        Annotated[str, doc("What came of the last attempt, in a sentence.", "answered 200")]
    ]
    nextAttempt: NotRequired[
        Annotated[EpochMs, doc("When the next attempt is due. Absent if there will be none.")]
    ]
    finishedDate: NotRequired[
        Annotated[EpochMs, doc("When it was delivered, or given up. Absent until then.")]
    ]


def present_callback(delivery: Delivery) -> dict[str, Any]:
    """The callback of a job."""
    is_open = delivery.finished_at is None
    return without_none(
        {
            "id": f"msg_{delivery.id}",
            "url": mask_url(delivery.url),
            "attempts": delivery.attempts,
            "result": delivery.result,
            "nextAttempt": epoch_ms(delivery.due_at) if is_open else None,
            "finishedDate": epoch_ms(delivery.finished_at),
        }
    )
