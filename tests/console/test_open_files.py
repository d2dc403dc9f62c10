"""What a file leaves open is answered on its page."""

import re

from console.test_doors import cookie_of, post, token_of
from support.harness import Reply, Server, request

TABLE = b"name,town;born\nLi,Bonn;1990\nBo,Bern;1991\n"


def page_of(server: Server, cookie: str, file_id: str) -> Reply:
    return request("GET", f"{server.process.url}/load/{file_id}", headers={"Cookie": cookie})


def test_the_choices_are_offered_and_the_chosen_one_reads_the_file(shared_memory: Server) -> None:
    sent = {"Content-Type": "text/csv"}
    file_id = shared_memory.call("POST", "/files", body=TABLE, headers=sent).json["id"]
    cookie = cookie_of(shared_memory)
    asked = page_of(shared_memory, cookie, file_id).body.decode()
    assert re.findall(r'name="value" value="(\w+)"', asked) == ["comma", "semicolon"]
    token = token_of(shared_memory, cookie)
    answer = {"csrf": token, "key": "delimiter", "value": "semicolon"}
    done = post(shared_memory, f"/load/{file_id}/answer", answer, Cookie=cookie)
    assert (done.status, done.headers["location"]) == (303, f"/load/{file_id}")
    read = page_of(shared_memory, cookie, file_id).body.decode()
    assert ("name,town" in read, 'name="value"' in read) == (True, False)
    wrong = {**answer, "key": "sheet"}
    refused = post(shared_memory, f"/load/{file_id}/answer", wrong, Cookie=cookie)
    assert (refused.status, b"has no effect on a file in csv" in refused.body) == (400, True)
