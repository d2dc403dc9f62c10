"""The seed's four calls, as its page shows them."""

from pathlib import Path

from support.harness import Processes, request

SAMPLE = Path(__file__).parents[2] / "examples" / "sample.csv"


def test_the_seeds_four_calls_end_with_ten_contacts_in_the_service(processes: Processes) -> None:
    sandbox = processes.sandbox("eloqua")
    server = processes.server().eloqua(sandbox)

    objects = server.call("GET", "/hubs/marketing/objects")
    assert (objects.status, objects.body) == (
        200,
        b'["activities","contact","campaign","list","account"]',
    )

    query = "?path=/sample.csv"
    made = server.upload("contact", SAMPLE.read_bytes(), query=query)
    assert made.status == 200
    assert made.body == b'{"id":"1","status":"CREATED","instanceId":1}'

    status = server.finished("1", within=120)
    assert (status["id"], status["status"]) == ("1", "COMPLETE")
    assert (status["recordsCount"], status["recordsFailedCount"]) == (10, 0)

    contacts = request("GET", f"{sandbox.url}/sandbox/contacts").json
    lines = SAMPLE.read_text().splitlines()
    names = lines[0].split(",")
    assert [{name: contact.get(name, "") for name in names} for contact in contacts] == [
        dict(zip(names, line.split(","), strict=True)) for line in lines[1:]
    ]
