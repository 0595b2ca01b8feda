"""At which time records count, as the clock of their machine goes on, strays or is set."""

from __future__ import annotations

import pytest
from procwire.telemetry.clock import HELD, Clock

SECOND = 1_000_000_000
MINUTE, DAY = 60 * SECOND, 86_400 * SECOND
START = 1_790_000_000 * SECOND


def test_what_comes_late_counts_at_its_own_time_as_long_as_that_is_open() -> None:
    clock = Clock(START)
    assert clock.follow(START + 5 * SECOND) == START + 5 * SECOND
    assert clock.settled == START + 5 * SECOND - HELD
    assert clock.follow(clock.settled) == START + 5 * SECOND - HELD
    assert clock.follow(clock.settled - 1) == clock.settled
    assert (clock.latest, clock.out_of_time, clock.settings) == (START + 5 * SECOND, 1, 0)


@pytest.mark.parametrize("step", [1, DAY - 1])
def test_less_than_a_day_of_silence_is_followed(step: int) -> None:
    clock = Clock(START)
    assert clock.follow(START + step) == START + step == clock.latest


@pytest.mark.parametrize(
    ("step", "records", "settings"), [(DAY, 3, 0), (-20 * MINUTE, 16, 1), (-400 * DAY, 16, 1)]
)
def test_a_clock_was_set_once_enough_records_agree(step: int, records: int, settings: int) -> None:
    clock = Clock(START)
    counted = [clock.follow(START + step + number * SECOND) for number in range(records)]
    before = START if step > 0 else START - HELD
    assert counted == [before] * (records - 1) + [START + step + (records - 1) * SECOND]
    assert clock.latest == counted[-1]
    assert (clock.out_of_time, clock.settings) == (records - 1, settings)


@pytest.mark.parametrize("apart", [10 * MINUTE, -10 * MINUTE])
def test_records_of_other_days_that_do_not_agree_change_nothing(apart: int) -> None:
    clock = Clock(START)
    assert {clock.follow(START + 9 * DAY + number * apart) for number in range(40)} == {START}
    assert clock.latest == START


def test_nor_do_those_between_which_others_are_in_time() -> None:
    clock = Clock(START)
    for number in range(40):
        assert clock.follow(START + 9 * DAY) == START + number
        assert clock.follow(START + number + 1) == START + number + 1
    assert clock.out_of_time == 40
