"""Each operation that may write says how: none is a way around approvals by being forgotten."""

import pytest

from openbulk.api.http import operations
from openbulk.api.http.operations import PERMISSIONS
from openbulk.api.http.ways_of_writing import WAYS, Way, way_of
from openbulk.domain.access import Permission


def test_each_operation_that_plans_or_loads_says_how_it_writes() -> None:
    wanted = {Permission.PLAN, Permission.LOAD}
    assert set(WAYS) == {name for name, needed in PERMISSIONS.items() if needed in wanted}


def test_the_path_may_be_whole_and_have_a_hub() -> None:
    for beginning in ("", "/elements/api-v2", "/elements/api-v2/hubs/{hub}"):
        assert way_of("POST", f"{beginning}/{{path}}") is Way.AT_ONCE
        assert way_of("PUT", f"{beginning}/bulk/{{job_id}}/apply") is Way.BY_A_PLAN


def test_an_operation_that_is_missing_counts_as_writing_if_it_loads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    new = {**PERMISSIONS, "POST /new": Permission.LOAD}
    monkeypatch.setattr(operations, "PERMISSIONS", new)
    assert way_of("POST", "/new") is Way.AT_ONCE
    assert way_of("GET", "/bulk/{job_id}") is Way.NEVER
