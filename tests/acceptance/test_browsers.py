"""Pages of other origins may call the API, as they may call the live service."""

from support.harness import Processes, request


def test_a_page_of_another_origin_may_call_and_read_the_headers(processes: Processes) -> None:
    """Also where the answer is an error; no cookie is ever taken for a sign-in."""
    server = processes.server().instance("memory")
    path = f"{server.process.url}/elements/api-v2/bulk/jobs"
    origin = {"Origin": "https://app.example.com"}
    asks = {
        **origin,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    preflight = request("OPTIONS", path, headers=asks)
    assert preflight.status == 200
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    for headers in (origin, {**origin, "Authorization": server.authorization}):
        answer = request("GET", path, headers=headers)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "Elements-Next-Page-Token" in answer.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in answer.headers
