"""A recorded run read again tells what was told, byte for byte: whatever the kernel and the
interfaces gave it, wherever turns and batches ended, however many workers there are and were."""

from __future__ import annotations

from contextlib import ExitStack
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mixed_runs import INTERFACES, Mixture
from procwire.context.inventory import Asset, Inventory, ZoneEntry, replace_all
from procwire.context.store import Store
from recorded_runs import replayed, watched

WORKERS = st.sampled_from([1, 2, 4])
SIZES = st.sampled_from([1, 7, 64, 65536])
SITE = Inventory(
    [ZoneEntry("cell", "ics", ("10.20.0.0/24",)), ZoneEntry("office", "it", ("10.0.0.0/24",))],
    [Asset("plc-7", "10.20.0.7/32", "plc", "critical")],
)


@given(
    seed=st.integers(0, 2**32),
    turns=st.integers(1, 9),
    live=st.tuples(SIZES, WORKERS),
    again=st.tuples(SIZES, WORKERS),
    known=st.booleans(),
    interfaces=st.sampled_from([(), INTERFACES, INTERFACES]),
)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_record_tells_what_the_run_told(
    tmp_path_factory, seed, turns, live, again, known, interfaces
):
    folder = tmp_path_factory.mktemp("runs")
    mixture = Mixture(Random(seed), turns)
    with ExitStack() as stack:
        store = None
        if known:
            store = stack.enter_context(Store(folder / "context.db"))
            replace_all(store, SITE)
        told = watched(mixture, folder / "record", *live, store, interfaces)
    assert told or not interfaces
    assert replayed(folder / "record", *again) == told
