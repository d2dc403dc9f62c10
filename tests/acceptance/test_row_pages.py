"""Rows of uploads page by page: by kind, by text, from any row on."""

from typing import Any

from support.harness import Server

FILE = b"""name;note;fail
Ann;first;
Bob;;no such band
Cid;third;
Dora;short;row;long
"""


def rows_of(server: Server, job_id: str, query: str = "") -> tuple[list[dict[str, Any]], str]:
    """A page of rows, and the token of the next one."""
    reply = server.call("GET", f"/bulk/{job_id}/rows?{query}")
    assert reply.status == 200, reply.body
    return reply.json, reply.headers.get("elements-next-page-token", "")


def numbers_of(server: Server, job_id: str, query: str) -> list[int]:
    return [row["rowNum"] for row in rows_of(server, job_id, query)[0]]


def test_a_list_has_each_row_with_its_values_and_what_became_of_it(shared_memory: Server) -> None:
    server = shared_memory
    job_id = server.done("records", FILE, {"action": "create"})["id"]
    rows, next_page = rows_of(server, job_id)
    assert [(row["rowNum"], row["outcome"]) for row in rows] == [
        (1, "created"),
        (2, "failed"),
        (3, "created"),
        (4, "failed"),
    ]
    assert next_page == ""
    assert rows == [server.call("GET", f"/bulk/{job_id}/rows/{n}").json for n in (1, 2, 3, 4)]


def test_rows_are_chosen_by_kind_and_by_a_text_in_any_case(shared_memory: Server) -> None:
    server = shared_memory
    job_id = server.done("records", FILE, {"action": "create"})["id"]
    assert numbers_of(server, job_id, "kind=created") == [1, 3]
    assert numbers_of(server, job_id, "kind=failed,unknown") == [2, 4]
    assert numbers_of(server, job_id, "search=THIRD") == [3]
    assert numbers_of(server, job_id, "search=such%20band") == [2], "in an error"
    assert numbers_of(server, job_id, "search=long") == [4], "in what could not be read"
    assert numbers_of(server, job_id, "search=r&kind=created") == [1, 3]
    assert numbers_of(server, job_id, "search=nowhere") == []
    values = {"values": {"fail": "a mended one"}}
    assert server.call("PATCH", f"/bulk/{job_id}/rows/2", json_body=values).status == 200
    assert numbers_of(server, job_id, "search=mended%20one") == [2]


def test_pages_follow_each_other_and_may_begin_anywhere(shared_memory: Server) -> None:
    server = shared_memory
    file = b"name\n" + b"".join(b"n%d\n" % n for n in range(1, 3_001))
    job_id = server.done("records", file, {"action": "create"})["id"]
    assert rows_of(server, job_id, "pageSize=2&nextPage=1999")[0][0]["values"] == {"name": "n2000"}
    seen: list[int] = []
    token = "0"
    while token:
        rows, token = rows_of(server, job_id, f"pageSize=1100&nextPage={token}")
        seen += [row["rowNum"] for row in rows]
    assert seen == list(range(1, 3_001))
    assert rows_of(server, job_id, "nextPage=3000") == ([], "")
    assert rows_of(server, job_id, "nextPage=99999999") == ([], "")


def test_a_page_of_a_search_looks_at_some_rows_and_the_next_one_goes_on(
    shared_memory: Server,
) -> None:
    server = shared_memory
    file = b"name\n" + b"n\n" * 20_500 + b"needle\n"
    job_id = server.done("records", file, {"action": "create"})["id"]
    assert rows_of(server, job_id, "search=needle") == ([], "20000")
    rows, next_page = rows_of(server, job_id, "search=needle&nextPage=20000")
    assert ([row["rowNum"] for row in rows], next_page) == ([20_501], "")


def test_a_page_of_large_rows_ends_early(shared_memory: Server) -> None:
    server = shared_memory
    file = b"name\n" + (b"x" * 900_000 + b"\n") * 8
    job_id = server.done("records", file, {"action": "create"})["id"]
    rows, next_page = rows_of(server, job_id)
    assert (len(rows), next_page) == (5, "5")
    assert numbers_of(server, job_id, f"nextPage={next_page}") == [6, 7, 8]
