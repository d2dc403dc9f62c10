"""A file in blocks is a stream like any other."""

import os

import pytest

from openbulk.storage.block_file import BLOCK_BYTES, open_blocks


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES + 5])
def test_a_file_is_read_from_any_place(size: int) -> None:
    content = os.urandom(size)
    blocks = [content[begin : begin + BLOCK_BYTES] for begin in range(0, size, BLOCK_BYTES)]
    file = open_blocks(blocks.__getitem__, size)
    assert file.read() == content
    for place in (BLOCK_BYTES - 3, 0, 2 * BLOCK_BYTES, size, 17):
        file.seek(place)
        assert file.read(10) == content[place : place + 10]
    end = file.seek(-min(4, size), os.SEEK_END)
    assert file.read(10) == content[end:]
    place = file.seek(-min(6, size), os.SEEK_CUR)
    assert file.read(10) == content[place:]
