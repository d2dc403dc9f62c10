"""How many refused calls the audit log keeps."""

from openbulk.api.refusal_limit import AT_ONCE, SECONDS_OF_ONE, RefusalLimit


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_many_refused_calls_are_left_out_and_counted() -> None:
    clock = Clock()
    limit = RefusalLimit(clock)
    assert [limit.take("ann") for _ in range(AT_ONCE)] == [0] * AT_ONCE
    assert [limit.take("ann") for _ in range(5)] == [None] * 5
    clock.now += SECONDS_OF_ONE
    assert [limit.take("ann"), limit.take("ann")] == [5, None]


def test_one_owner_does_not_count_for_another() -> None:
    limit = RefusalLimit(Clock())
    for _ in range(AT_ONCE + 1):
        limit.take("ann")
    assert limit.take("bob") == 0


def test_after_a_long_time_all_are_kept_again() -> None:
    clock = Clock()
    limit = RefusalLimit(clock)
    for _ in range(AT_ONCE + 1):
        limit.take("ann")
    clock.now += AT_ONCE * SECONDS_OF_ONE
    assert limit.take("ann") == 1
    assert limit.take("ann") == 0
