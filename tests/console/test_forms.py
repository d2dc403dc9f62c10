"""Forms of the console: what a person has not changed stays, and what makes no sense is refused."""

import html
import re
from typing import Any

import pytest

from console.test_doors import cookie_of, post, token_of
from support.harness import Reply, Server, request

UPSERT = {"action": "upsert", "identifierFieldName": "room"}


class Visitor:
    """Somebody who is signed in, without a browser."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.cookie = cookie_of(server)
        self.token = token_of(server, self.cookie)

    def open(self, path: str) -> Reply:
        headers = {"Cookie": self.cookie, "Accept": "text/html"}
        return request("GET", self.server.process.url + path, headers=headers)

    def send(self, path: str, **fields: str) -> Reply:
        return post(self.server, path, {**fields, "csrf": self.token}, Cookie=self.cookie)

    def cells(self, path: str) -> dict[str, str]:
        """The fields of a row's form, as a browser sends them."""
        fields = re.findall(
            r"<textarea [^>]*name=\"([^\"]+)\"[^>]*>\n([^<]*)</textarea>",
            self.open(path).body.decode(),
        )
        return {
            html.unescape(name): "\r\n".join(html.unescape(text).splitlines())
            for name, text in fields
        }


@pytest.fixture
def visitor(shared_memory: Server) -> Visitor:
    return Visitor(shared_memory)


def row(server: Server, job_id: str) -> Any:
    return server.call("GET", f"/bulk/{job_id}/rows/1").json


def plan(server: Server, rows: int) -> str:
    lines = "".join(f"R{number},{number}\n" for number in range(rows))
    file = f"room,seats\n{lines}".encode()
    job_id: str = server.upload("records", file, UPSERT, query="?plan=true").json["id"]
    server.finished(job_id)
    return job_id


def test_cells_that_nobody_has_changed_stay(visitor: Visitor) -> None:
    """Also those with several lines, which a field of one line would join."""
    file = b'room,note,fail\nA,"\nfirst\r\nsecond",no\n'
    job_id = visitor.server.done("records", file, UPSERT)["id"]
    cells = visitor.cells(f"/jobs/{job_id}/rows/1")
    assert cells["cell:note"] == "\r\nfirst\r\nsecond"
    answer = visitor.send(f"/jobs/{job_id}/rows/1", **{**cells, "cell:fail": ""})
    assert answer.status == 303, answer.body
    assert row(visitor.server, job_id)["mended"] == {"fail": None}


def test_values_keep_their_types(visitor: Visitor) -> None:
    file = '{"room": "1", "n": 1, "yes": true, "list": [1, "ä"], "fail": "no"}'.encode()
    job_id = visitor.server.done("records", file, {**UPSERT, "format": "jsonl"})["id"]
    path = f"/jobs/{job_id}/rows/1"
    cells = visitor.cells(path)
    assert (cells["cell:yes"], cells["cell:list"]) == ("true", '[1, "ä"]')
    changed = {"cell:room": "2", "cell:n": "7", "cell:yes": "false", "cell:list": "[2"}
    refused = visitor.send(path, **{**cells, **changed})
    assert refused.status == 400
    assert "must be a list or an object in JSON" in refused.body.decode()
    assert "[2</textarea>" in refused.body.decode(), "what was typed is still there"
    assert visitor.send(path, **{**cells, **changed, "cell:list": "[2]"}).status == 303
    mended = {"room": "2", "n": 7, "yes": False, "list": [2]}
    assert row(visitor.server, job_id)["mended"] == mended


def test_a_row_that_could_not_be_read_is_mended(visitor: Visitor) -> None:
    job_id = visitor.server.done("records", b"room,seats\nA,1,surplus\n", UPSERT)["id"]
    path = f"/jobs/{job_id}/rows/1"
    assert ">surplus</pre>" in visitor.open(path).body.decode()
    answer = visitor.send(path, **{**visitor.cells(path), "cell:seats": "7"})
    assert answer.status == 303, answer.body
    assert row(visitor.server, job_id)["mended"] == {"room": "A", "seats": "7"}


def test_a_plan_whose_first_rows_were_carried_out_says_so(visitor: Visitor) -> None:
    job_id = plan(visitor.server, 25)
    digest = visitor.server.call("GET", f"/bulk/{job_id}/plan").json["digest"]
    for first in (10, 20):
        answer = visitor.send(f"/jobs/{job_id}/apply", digest=digest, first=str(first))
        assert answer.status == 303, answer.body
        visitor.server.finished(job_id)
        page = visitor.open(f"/jobs/{job_id}").body.decode()
        assert "The first rows were carried out" in page
        assert "Nothing was written" not in page
        assert f'name="first" value="{first + 10}"' in page
    for action in ("/plan-undo", "/verify", "/results?"):
        assert f"/jobs/{job_id}{action}" in page


def test_a_job_of_a_service_that_was_disconnected_can_be_seen(visitor: Visitor) -> None:
    server = visitor.server
    job_id = server.done("records", b"room,fail\nA,no\n", UPSERT)["id"]
    user = Server(server.process)
    assert user.call("DELETE", f"/instances/{server.instance_id}").status == 200
    for path in ("", "/live", "/rows", "/rows/1", "/results"):
        assert visitor.open(f"/jobs/{job_id}{path}").status == 200, path
    answer = visitor.send(f"/jobs/{job_id}/retry")
    assert (answer.status, "was deleted" in answer.body.decode()) == (409, True)


def test_forms_that_make_no_sense_are_refused(visitor: Visitor) -> None:
    server = visitor.server
    job_id = plan(server, 1)
    digest = server.call("GET", f"/bulk/{job_id}/plan").json["digest"]
    for fields in (
        {},
        *({"digest": digest, "first": text} for text in ("x", "1.5", "0", "٣", "9" * 5000)),
    ):
        assert visitor.send(f"/jobs/{job_id}/apply", **fields).status == 400, fields
    assert visitor.send(f"/jobs/{job_id}/mend").status == 400
    file = server.call("POST", "/files", body=b"room\nA\n", headers={"Content-Type": "text/csv"})
    answer = visitor.send(f"/load/{file.json['id']}/plan", instance=server.instance_id or "")
    assert answer.headers["location"].startswith(f"/load/{file.json['id']}/where")


def test_a_download_has_no_rows(visitor: Visitor) -> None:
    download = visitor.server.call("POST", "/bulk/query?q=select%20*%20from%20records").json["id"]
    visitor.server.finished(download)
    for path in ("/rows/1", "/results"):
        assert visitor.open(f"/jobs/{download}{path}").status == 404
    assert visitor.send(f"/jobs/{download}/rows/1").status == 404


def test_a_row_with_many_columns_is_mended(visitor: Visitor) -> None:
    """A form with more columns than any file of people is refused with a page."""
    names = [*(f"c{number}" for number in range(2_500)), "fail"]
    file = ",".join(names) + "\n" + ",".join("x" for _ in names) + "\n"
    job_id = visitor.server.done("records", file.encode(), {"action": "create"})["id"]
    path = f"/jobs/{job_id}/rows/1"
    answer = visitor.send(path, **{**visitor.cells(path), "cell:fail": ""})
    assert answer.status == 303, answer.body
    assert row(visitor.server, job_id)["mended"] == {"fail": None}
    refused = visitor.send(path, **{f"cell:{number}": "" for number in range(20_001)})
    assert (refused.status, b"</html>" in refused.body) == (400, True)
