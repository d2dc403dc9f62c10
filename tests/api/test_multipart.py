"""A form gives the same parts, however its bytes are cut into chunks."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obstore.store import LocalStore
from starlette.requests import Request

from openbulk.api.http.multipart import receive_upload
from openbulk.domain.errors import BadInput, TooLarge
from openbulk.domain.people import Caller, User
from openbulk.security import Sealer
from openbulk.storage.files import FileStore
from support.harness import multipart

LIMIT = 3 * 1024 * 1024


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> FileStore:
    return FileStore(LocalStore(tmp_path_factory.mktemp("files")), Sealer([os.urandom(32)]))


def request(body: bytes, content_type: str, sizes: list[int]) -> Request:
    chunks: list[bytes] = []
    while body:
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(body[:size])
        body = body[size:]

    async def next_chunk() -> dict[str, object]:
        chunk = chunks.pop(0) if chunks else b""
        return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

    headers = [(b"content-type", content_type.encode())]
    caller = Caller(User(1, 1, "ann@example.com"), knows_organization=True, instance=None)
    state = {"caller": caller}
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers, "state": state}
    return Request(scope, next_chunk)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.binary(max_size=3000),
    st.dictionaries(
        st.sampled_from(["metaData", "other"]),
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=50),
    ),
    st.lists(st.integers(1, 700), min_size=1, max_size=5),
    st.booleans(),
)
async def test_chunks_do_not_matter(
    files: FileStore, content: bytes, fields: dict[str, str], sizes: list[int], first: bool
) -> None:
    body, content_type = multipart(content, fields, metadata_first=first)
    received = await receive_upload(request(body, content_type, sizes), files, "upload", LIMIT)
    assert (received.size, dict(received.fields)) == (len(content), fields)
    blocks = [await files.block("upload", 0, received.size)] if content else []
    assert b"".join(blocks) == content
    await files.delete("upload")


@pytest.mark.parametrize(
    ("content", "fields", "cut", "error"),
    [
        (b"x", {}, -5, BadInput),
        (b"x" * 1_500_000, {}, 1_200_000, BadInput),
        (b"x" * (LIMIT + 1), {}, None, TooLarge),
        (b"x", {"metaData": "y" * 1_100_000}, None, TooLarge),
        (b"x", {str(n): "" for n in range(51)}, None, TooLarge),
    ],
)
async def test_a_malformed_too_large_or_incomplete_upload_leaves_nothing(
    files: FileStore,
    content: bytes | None,
    fields: dict[str, str],
    cut: int | None,
    error: type[Exception],
) -> None:
    body, content_type = multipart(content, fields)
    with pytest.raises(error):
        await receive_upload(request(body[:cut], content_type, [65_536]), files, "upload", LIMIT)
    assert await files.names() == frozenset()


async def test_two_files_are_refused(files: FileStore) -> None:
    body, content_type = multipart(b"one", {"file": "two"})
    with pytest.raises(BadInput, match="two files"):
        await receive_upload(request(body, content_type, [1000]), files, "upload", LIMIT)


async def test_a_file_is_not_stored_under_its_callers_name(files: FileStore) -> None:
    body, content_type = multipart(b"one", {})
    assert b'filename="sample.csv"' in body
    body = body.replace(b"sample.csv", b"../../master.key")
    await receive_upload(request(body, content_type, [1000]), files, "upload", LIMIT)
    assert await files.names() == frozenset({"upload"})
    await files.delete("upload")
