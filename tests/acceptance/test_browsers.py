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


def test_a_browser_neither_runs_nor_keeps_an_answer(processes: Processes) -> None:
    """Whatever it is: records, a file of somebody, an error."""
    server = processes.server().instance("memory")
    server.done("records", b"name\n<script>alert(1)</script>\n")
    job = server.call("POST", "/bulk/download", json_body={"objectName": "records"}).json["id"]
    server.finished(job)
    answers = {
        path: server.call("GET", path, headers={"Accept": accept})
        for path, accept in (
            ("/records", "*/*"),
            (f"/bulk/{job}/records", "text/csv"),
            ("/bulk/jobs/no/such/<script>", "text/html"),
        )
    }
    answers["/healthz"] = request("GET", f"{server.process.url}/healthz")
    answers["a path that is too long"] = server.call("GET", f"/{'a' * 20_000}")
    for path, answer in answers.items():
        headers = answer.headers
        assert "html" not in headers["content-type"], path
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["cache-control"] == "no-store", path
        assert headers["referrer-policy"] == "no-referrer", path
        policy = headers["content-security-policy"]
        assert policy == "default-src 'none'; base-uri 'none'; frame-ancestors 'none'", path
    file = answers[f"/bulk/{job}/records"]
    assert file.headers["content-disposition"].startswith("attachment;")
