"""A plan of a service's own import is carried out: what has changed since is not imported."""

from acceptance.test_apply import applied
from acceptance.test_plans import counts, plan_of
from support.harness import Process, Server, request

UPSERT = {"action": "upsert"}


def test_an_import_leaves_out_what_has_changed_since_its_plan(
    shared_server: Server, shared_eloqua: Process
) -> None:
    """And what the plan refused, and what need not be imported."""
    server = shared_server.eloqua(shared_eloqua)
    known = (
        b"C_EmailAddress,C_City\nann@example.com,Bonn\nbob@example.com,Ulm\ncara@example.com,Ulm\n"
    )
    server.done("contact", known, UPSERT)
    file = (
        b"C_EmailAddress,C_City\nann@example.com,Trier\nbob@example.com,Trier\n"
        b"cara@example.com,Ulm\ndan@example.com,Ulm\n,Ulm\n"
    )
    plan = plan_of(server, "contact", file, UPSERT)
    assert counts(plan) == {"created": 1, "updated": 2, "unchanged": 1, "refused": 1}
    server.done("contact", b"C_EmailAddress,C_City\nbob@example.com,Jena\n", UPSERT)
    outcomes = applied(server, plan)
    assert (outcomes["drifted"], outcomes["unchanged"], outcomes["failed"]) == (1, 1, 1)
    held = request("GET", f"{shared_eloqua.url}/sandbox/contacts").json
    assert {one["C_EmailAddress"][:3]: one["C_City"] for one in held} == {
        "ann": "Trier",
        "bob": "Jena",
        "car": "Ulm",
        "dan": "Ulm",
    }
