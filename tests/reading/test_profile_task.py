"""A file is described by what reads it for a job."""

import io
from typing import Any

import pytest

from openbulk.domain.errors import BadInput
from openbulk.reading.profile_task import Profile


def profile_of(content: bytes, first_rows: int | None = None, **options: Any) -> dict[str, Any]:
    request = {"options": options, "first_rows": first_rows, "takes_events": False}
    profile = Profile(io.BytesIO(content), request)
    while profile.next_part():
        pass
    return profile.to_json()


def types_of(content: str) -> dict[str, list[tuple[str, float, str | None]]]:
    return {
        column["name"]: [(one["type"], one["share"], one["detail"]) for one in column["types"]]
        for column in profile_of(content.encode())["columns"]
    }


@pytest.mark.parametrize(
    ("cells", "type", "detail"),
    [
        (["31.12.2026", "01.02.2026"], "date", "DMY"),
        (["12/31/2026", "01/02/2026"], "date", "MDY"),
        (["2026-12-31"], "date", "YMD"),
        (["30. Mai 2026"], "date", "DMY"),
        (["2026-12-31T10:00:00Z"], "datetime", "YMD"),
        (["31.12.2026 8:15"], "datetime", "DMY"),
        (["19:30", "8:15 Uhr"], "time", None),
        (["1.234,50", "3"], "number", ","),
        (["1,234.50"], "number", "."),
        (["12"], "number", None),
        (["1.234"], "number", None),
        (["ann@example.com"], "email", None),
        (["+49 89 1234567", "089/1234567"], "phone", None),
        (["https://example.com/a?b=c"], "url", None),
        (["ja", "nein"], "yesNo", None),
        (["red; green; blue"], "list", None),
        (["Ann Müller", "May"], "text", None),
        (["31.02.2026x"], "text", None),
    ],
)
def test_the_values_of_a_column_show_its_type(
    cells: list[str], type: str, detail: str | None
) -> None:
    lines = "\n".join(f'"{cell}"\tx' for cell in cells)
    assert types_of(f"a\tb\n{lines}\n")["a"] == [(type, 1.0, detail)]


def test_shares_and_columns_without_a_value() -> None:
    assert types_of("a,b,c\n1,2026-01-01,\n2,x,\n3,2026-01-02,\n4,2026-01-03,\n") == {
        "a": [("number", 1.0, None)],
        "b": [("date", 0.75, "YMD"), ("text", 0.25, None)],
        "c": [],
    }


def test_fields_inside_of_others_are_columns_by_their_paths() -> None:
    columns = profile_of(b'[{"a": {"b": true}, "c": 1.5}, {"a": {"b": null}, "c": 2}]')["columns"]
    shown = [(one["name"], one["filled"], one["types"][0]["type"]) for one in columns]
    assert shown == [("a.b", 0.5, "yesNo"), ("c", 1.0, "number")]


def test_the_beginning_asks_nothing_that_the_rest_may_answer() -> None:
    content = b"day,x\n" + b"05/06/2026,1\n" * 20 + b"31/05/2026,1\n"
    assert profile_of(content, 10)["questions"] == []
    assert profile_of(content, 10)["complete"] is False
    assert profile_of(content)["questions"] == []
    assert profile_of(content[:-14], 30)["questions"][0]["key"] == "dateOrder"


@pytest.mark.parametrize("row", [4, 9, -1, "x"])
def test_a_header_row_that_is_none_is_refused(row: Any) -> None:
    with pytest.raises(BadInput, match=r"metaData\.headerRow is"):
        profile_of(b"title\na,b\n1,2\n\n", headerRow=row)


def test_samples_names_and_columns_are_bounded() -> None:
    (long, _) = profile_of(b"a,b\n" + b"x" * 900_000 + b",2\n")["columns"]
    assert [len(sample) for sample in long["samples"]] == [100]
    lines = "\n".join(f'{{"{number}": 1}}' for number in range(1_500))
    many = profile_of(lines.encode())
    assert (len(many["columns"]), many["has_more_columns"]) == (1_000, True)
