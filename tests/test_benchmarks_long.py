"""The long checks run, in their short forms."""

import pytest

from tests.scripts import quick_result
from tests.scripts import table_rows


@pytest.mark.numpy
def test_the_tree_drift_check_holds_every_capacity_against_exact_sums(tmp_path):
    text, result = quick_result("tree_drift.py", tmp_path)
    rows = table_rows(text, "capacity")
    assert [row[0] for row in rows] == ["1", "31", "1000", "1025", "100000", "1048576"]
    assert all(tree["searches"] > 9_000 for tree in result["trees"])
    assert result["good"] is True


@pytest.mark.numpy
@pytest.mark.parametrize("fault", ["drift", "empty", "minimum"])
def test_the_tree_drift_check_finds_a_tree_that_is_wrong(fault, monkeypatch):
    from tests.scripts import FOLDER

    monkeypatch.syspath_prepend(str(FOLDER))
    import numpy as np
    import tree_drift

    from keras_dqn.replay.priority_tree import PriorityTree

    class Wrong(PriorityTree):
        @property
        def total(self):
            return super().total * (1.0 + (1e-11 if fault == "drift" else 0.0))

        def find(self, points):
            found = super().find(np.minimum(points, super().total))
            empty = np.flatnonzero(self.leaves == 0.0)
            return np.full_like(found, empty[0]) if fault == "empty" else found

        @property
        def min(self):
            return 0.0 if fault == "minimum" else super().min

    monkeypatch.setattr(tree_drift, "PriorityTree", Wrong)
    row = tree_drift.drift(1_000, 2_000, seed=0, searches=100)
    wrong = {
        "drift": row["largest_relative_error"] > tree_drift.LIMIT,
        "empty": row["empty_slots_found"] > 0,
        "minimum": not row["minimum_is_right"],
    }
    assert [name for name, is_so in wrong.items() if is_so] == [fault]


@pytest.mark.slow
def test_a_run_that_is_killed_twice_ends_in_the_same_bits(tmp_path):
    text, result = quick_result("kill_resume.py", tmp_path)
    assert result["equal"] is True
    assert result["counts"]["killed"] == 2


@pytest.mark.slow
def test_the_soak_shows_what_it_watches(tmp_path):
    text, result = quick_result("soak.py", tmp_path)
    figures = result["figures"]
    assert figures["descriptors"]["second half"] > 2
    assert figures["children"] == {"first half": 0, "second half": 0}
    assert len(result["samples"]) > 5
    assert [row[0] for row in table_rows(text, "minute")]
