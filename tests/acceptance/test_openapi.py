"""The OpenAPI document is true: whatever is sent, what comes back is documented, and never a 500."""

import subprocess
import sys
from pathlib import Path

from harness import Processes, request

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "allow_header_conformance"
)


def test_whatever_is_sent_the_answer_is_documented(processes: Processes, tmp_path: Path) -> None:
    """Some thousand requests that Schemathesis makes up from the document, good ones and bad ones."""
    server = processes.server().instance("memory")
    server.done("records", b"name\nAnn\nBob\n")
    job_id = server.call("POST", "/bulk/query?q=select%20*%20from%20records").json["id"]
    server.finished(job_id)
    program = str(Path(sys.executable).parent / "schemathesis")
    command = [
        *(program, "run", f"{server.process.url}/openapi.json", "--header", f"Authorization: {server.authorization}"),
        *("--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--max-examples", "3", "--seed", "20261124"),
        # The hub is a prefix: behind it are the same handlers.
        *("--exclude-path-regex", r"/hubs/\{hub\}/(bulk|objects|\{path)", "--workers", "2"),
        *("--no-color", "--warnings", "off"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    assert "request failed" not in server.process.log()


def test_the_document_has_every_operation_its_secrets_and_its_errors(processes: Processes) -> None:
    """And the page that shows it."""
    server = processes.server()
    document = request("GET", f"{server.process.url}/openapi.json").json
    base = "/elements/api-v2"
    for path, method in (
        ("/bulk/query", "post"),
        ("/hubs/{hub}/bulk/{object}", "post"),
        ("/bulk/{job_id}/{object}", "get"),
        ("/{path}", "patch"),
        ("/instances/{instance_id}/configuration", "get"),
    ):
        operation = document["paths"][base + path][method]
        assert operation["summary"] and operation["security"] == [{"secrets": []}], path
        assert {"200", "400", "401", "404", "502"} <= set(operation["responses"]), path
        assert "422" not in operation["responses"]
    assert set(document["paths"][f"{base}/bulk/{{job_id}}/{{object}}"]["get"]["responses"]["200"]["content"]) >= {
        "text/csv",
        "application/json",
        "application/jsonl",
    }
    assert request("GET", f"{server.process.url}/docs").status == 200
