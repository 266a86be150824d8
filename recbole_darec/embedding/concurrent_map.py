"""Apply a function to many items in some threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def concurrent_map(
    function: Callable[[Item], Result], items: Iterable[Item], limit: int
) -> Iterator[tuple[Item, Result]]:
    """Items with their results, as they are ready.

    Items are drawn only when their turn comes. Where the function fails, the results of the calls
    that are under way still come, then the error is raised; no other item is begun.

    Args:
        function: called in threads, unless ``limit`` is 1.
        items: any number of them.
        limit: calls at the same time, at least 1.
    """
    if limit == 1:
        for item in items:
            yield item, function(item)
        return
    waiting_items = iter(items)
    failed: BaseException | None = None
    with ThreadPoolExecutor(limit) as pool:
        running: dict[Future[Result], Item] = {}
        while True:
            if failed is None:
                for item in islice(waiting_items, limit - len(running)):
                    running[pool.submit(function, item)] = item
            if not running:
                break
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                item, error = running.pop(future), future.exception()
                if error is None:
                    yield item, future.result()
                else:
                    failed = failed or error
    if failed is not None:
        raise failed
