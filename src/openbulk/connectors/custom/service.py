"""Makes the calls of a description for one instance, and reads the records in their answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from openbulk.connectors.answers import Answer, kind_of, misfit
from openbulk.connectors.custom.description import Call, Value
from openbulk.connectors.custom.json_parts import value_behind
from openbulk.connectors.custom.templates import fill_path
from openbulk.connectors.http import Client
from openbulk.exact_json import encode_json


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call with its values."""

    call: Call
    path: str
    query: Mapping[str, str]


class Service:
    """The service of one instance."""

    def __init__(
        self,
        configuration: Mapping[str, str],
        base_url: str,
        client: Client,
        secrets: Sequence[str] = (),
    ) -> None:
        """`configuration` has the defaults of the export where the instance has no value.

        `secrets` are those of its values that nobody may read.
        """
        self.base_url = base_url
        self._configuration = configuration
        self._client = client
        self._secrets = secrets

    def prepare(self, call: Call, given: Mapping[str, str]) -> Prepared:
        """A call with its values. Raises BadInput for one that cannot be in its path."""

        def value_of(name: str) -> str:
            source = call.path_values[name]
            if isinstance(source, Value):
                return source.text(self._configuration) or ""
            return given.get(source, "")

        query = self.texts(call.query)
        query |= {at: given[name] for name, at in call.parameters.items() if given.get(name)}
        return Prepared(call, fill_path(call.path, value_of), query)

    async def send(
        self, prepared: Prepared, query: Mapping[str, str], *, json: Any = None, records: int = 1
    ) -> Answer:
        """The answer to a call. Raises ServiceError."""
        headers = self.texts(prepared.call.headers)
        if json is not None:
            headers.setdefault("Content-Type", "application/json")
        return await self._client.call(
            prepared.call.method,
            self.base_url + prepared.path,
            params={**prepared.query, **query},
            data=None if json is None else encode_json(json),
            headers=headers,
            records=records,
            secrets=self._secrets,
        )

    async def send_to(self, prepared: Prepared, address: str, records: int) -> Answer:
        """The answer at a path and query that the service has given for a call."""
        host = urlsplit(self.base_url)
        given = {pair.partition("=")[0] for pair in urlsplit(address).query.split("&")}
        fixed = self.texts(prepared.call.query)
        return await self._client.call(
            "GET",
            f"{host.scheme}://{host.netloc}{address}",
            params={name: text for name, text in fixed.items() if name not in given},
            headers=self.texts(prepared.call.headers),
            records=records,
            secrets=self._secrets,
        )

    def texts(self, values: Mapping[str, Value]) -> dict[str, str]:
        """Values for this instance, without those that an entry lacks."""
        texts = {name: value.text(self._configuration) for name, value in values.items()}
        return {name: text for name, text in texts.items() if text is not None}


def content_of(call: Call, answer: Answer) -> Any:
    """What an answer has where the record or the list is; None if it has nothing there."""
    body = answer.json()
    return value_behind(body, call.response_root) if call.response_root else body


def records_in(call: Call, answer: Answer) -> list[dict[str, Any]]:
    """The records in an answer. Raises ServiceError if there is no list where one is due."""
    found = content_of(call, answer)
    place = ".".join(call.response_root)
    if found is None and call.response_root and isinstance(answer.json(), dict):
        # A list without records may be left out.
        return []
    if not isinstance(found, list):
        raise answer.refusal(
            f"{kind_of(found)}{place and f' as {place}'}",
            "a list of records there; the export says where it is (rootKey)",
        )
    wrong = misfit(found, {"items": {"type": "object"}}, place or "records")
    if wrong is not None:
        raise answer.refusal(*wrong)
    return found
