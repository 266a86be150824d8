import threading
from collections.abc import Iterator

import pytest

from recbole_darec.embedding.concurrent_map import concurrent_map


def test_every_item_once_with_its_result() -> None:
    for limit in (1, 3):
        done = dict(concurrent_map(lambda x: x * x, range(20), limit))
        assert done == {x: x * x for x in range(20)}


def test_calls_really_overlap_and_items_are_drawn_late() -> None:
    """Two calls meet at a barrier; no item beyond those under way has been drawn by then."""
    barrier = threading.Barrier(2, timeout=20)
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for item in range(6):
            drawn.append(item)
            yield item

    def meet(item: int) -> int:
        barrier.wait()
        return len(drawn)

    results = list(concurrent_map(meet, items(), 2))
    assert [seen for _, seen in results][:1] == [2]
    assert len(results) == 6


@pytest.mark.parametrize("limit", [1, 2])
def test_an_error_waits_for_the_calls_under_way(limit: int) -> None:
    begun: list[int] = []
    second_began = threading.Event()

    def fail_on_first(item: int) -> int:
        begun.append(item)
        if item == 0:
            assert limit == 1 or second_began.wait(20)
            raise ValueError("first")
        second_began.set()
        return item

    finished: list[int] = []
    results = concurrent_map(fail_on_first, iter(range(3)), limit)
    with pytest.raises(ValueError, match="first"):
        finished.extend(item for item, _ in results)
    # With two threads, 1 was under way; that 2 had begun too depends on which of them ended first.
    assert limit == 1 or 1 in finished
    assert set(finished) == set(begun) - {0}
