"""Threads for calls that block: each kind of work has its own, and waits only for its own kind."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """A bounded number of threads for one kind of work. They start when they are needed."""

    def __init__(self, kind: str, size: int) -> None:
        self._executor = ThreadPoolExecutor(size, thread_name_prefix=kind)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in one of the threads, as soon as one is free."""
        call = partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)
