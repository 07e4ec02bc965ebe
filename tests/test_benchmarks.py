"""The benchmarks run, and what they compare is the same. No time is a test."""

import ast
import sys

import numpy as np
import pytest

from tests.scripts import FOLDER
from tests.scripts import quick_result
from tests.scripts import run_script
from tests.scripts import table_rows


def imports_of(path, names):
    """Returns those of the modules `names` that a file imports, in functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    return found & names


@pytest.mark.numpy
def test_no_benchmarks_import_each_other_in_a_circle():
    paths = {path.stem: path for path in FOLDER.glob("*.py")}
    left = {name: imports_of(path, set(paths)) for name, path in paths.items()}
    assert left["report"] >= {"plots", "measured"}  # the imports are found
    while leaves := [name for name, needs in left.items() if not needs & set(left)]:
        for name in leaves:
            del left[name]
    assert left == {}, "these import each other"


VARIANTS = {"tensorflow": "tf.function", "jax": "jit", "torch": "eager"}


def check_update_benchmark(tmp_path, *words):
    text, result = quick_result("update.py", tmp_path, *words)
    assert result["differences"]
    for variant, differences in result["differences"].items():
        assert set(differences) == {"td_errors", "q_values", "weights"}
        assert max(differences.values()) < 1e-4, variant
    programs = [row[0] for row in table_rows(text, "program")]
    assert programs[0] == "Learner.update"
    natives = [name for name in programs if name.startswith("native update")]
    assert natives == [f"native update ({v})" for v in result["differences"]]


@pytest.mark.slow
def test_native_step_does_the_learners_maths(tmp_path):
    import keras

    variant = VARIANTS[keras.config.backend()]
    check_update_benchmark(tmp_path, "--no-mixed", "--variants", variant)


@pytest.mark.slow
def test_every_native_step_does_the_learners_maths(tmp_path):
    check_update_benchmark(tmp_path)


@pytest.mark.slow
def test_loop_benchmark_accounts_for_the_whole_iteration(tmp_path):
    text, result = quick_result("loop.py", tmp_path)
    seconds = {k: v["median"] for k, v in result["profile_seconds"].items()}
    whole = seconds.pop("whole iteration")
    assert sum(seconds.values()) == pytest.approx(whole)
    assert seconds["update"] > 0.0
    calls = {row[0]: row[1] for row in table_rows(text, "section")}
    assert calls["update"] == calls["sample"] == calls["write back"] == "8.0"
    assert calls["act: Q-values"] == calls["store"] == "4.0"


@pytest.mark.numpy
def test_checks_benchmark_sets_each_check_against_an_iteration(tmp_path):
    text, result = quick_result("checks.py", tmp_path, "--iteration-ms", 100)
    assert result["iteration"]["median"] == 0.1
    rows = table_rows(text, "check")
    assert [row[0] for row in rows] == [*result["seconds"], "all"]
    assert result["share"] > 0.0


@pytest.mark.numpy
def test_replay_speed_benchmark_prints_every_capacity(tmp_path):
    text, result = quick_result("replay_speed.py", tmp_path)
    assert [row[0] for row in table_rows(text, "capacity")] == ["2^10"] * 3
    tiny = result["figures"]["frames of 4 x 4"]
    assert list(tiny) == ["10", "12"]
    assert tiny["12"]["keras_dqn, K=1"]["seconds"]["count"] == 3


@pytest.mark.slow
def test_precision_benchmark_compares_both_on_the_same_minibatches(tmp_path):
    text, result = quick_result("precision.py", tmp_path)
    means = result["means"]
    exact, mixed = means["Q, float32"], means["Q, mixed_bfloat16"]
    np.testing.assert_allclose(mixed, exact, atol=0.05)
    assert mixed != exact
    assert means["Q, float32, other draws"] != exact
    assert "to 4" in text


@pytest.mark.numpy
@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_replay_memory_benchmark_finds_one_byte_for_each_pixel(tmp_path):
    _, result = quick_result("replay_memory.py", tmp_path, "--frames", "synthetic")
    filled = result["figures"]["filled"]
    pixels = 84 * 84 * result["capacity"]
    assert 0.95 * pixels < filled["bytes"] < 1.3 * pixels
    assert filled["peak_bytes"] < 1.3 * pixels


@pytest.mark.numpy
@pytest.mark.parametrize("name", ["replay_memory.py", "replay_speed.py", "loop.py"])
def test_benchmark_explains_its_options(name):
    done = run_script(name, "--help")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "--quick" in done.stdout


@pytest.mark.numpy
def test_children_answer_in_turn_and_what_they_print_is_no_answer(
    tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(str(FOLDER))
    import children

    script = tmp_path / "child.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(FOLDER)!r})\n"
        "import children\n"
        "def double(x):\n"
        "    print('noise')\n"
        "    return {'x': 2 * x}\n"
        "children.serve(double=double)\n"
    )
    with children.Child(script) as child:
        assert [child.ask("double", x=x) for x in (1, 5)] == [{"x": 2}, {"x": 10}]
        with pytest.raises(RuntimeError, match="child.py ended with status 1"):
            child.ask("triple", x=1)


@pytest.mark.numpy
def test_programs_are_timed_in_turns_and_ratios_taken_round_by_round(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import timing

    order = []
    programs = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    seconds = timing.interleave(programs, rounds=3, repeats=1, warmup=0)
    assert "".join(order) == "abbaab"
    assert seconds["a"].shape == (3,)
    # 1/2, 2/1, 9/3: not the ratio of the medians, 2/2.
    assert timing.ratio([1.0, 2.0, 9.0], [2.0, 1.0, 3.0]).median == 2.0
    assert timing.summarize([4.0, 1.0, 2.0, 3.0, 5.0]).text() == "3.00 (2.00 to 4.00)"


@pytest.mark.numpy
def test_a_run_of_all_is_resumed_and_its_report_has_tables_and_machine(tmp_path):
    """Of the benchmarks, those that need no Keras."""
    only = ("--only", "replay-speed", "tree-drift")
    words = ("--quick", "--no-peers", *only, "--out", tmp_path)
    done = run_script("run_all.py", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    report = (tmp_path / "report.md").read_text()
    assert "- cores: " in report and "## Replay" in report
    capacities = [row[0] for row in table_rows(report, "capacity")]
    assert capacities == ["2^10"] * 3
    assert "## tree-drift" in report and "## replay-speed" not in report
    assert "has its figures" in run_script("run_all.py", *words).stdout


@pytest.mark.numpy
def test_a_run_of_all_says_what_failed_and_goes_on(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 3\n")
    python.chmod(0o755)
    words = ("--python", f"jax={python}", "--only", "update-jax", "replay-speed")
    done = run_script(
        "run_all.py", *words, "--quick", "--no-peers", "--out", tmp_path / "out"
    )
    assert done.returncode == 1 and "Failed: update-jax" in done.stderr
    assert "## Replay" in (tmp_path / "out" / "report.md").read_text()


@pytest.mark.slow
def test_the_run_memory_benchmark_judges_a_run(tmp_path):
    _, result = quick_result("run_memory.py", tmp_path)
    assert result["updates"] == 160 and len(result["series"]["updates"]) == 10
    assert result["frames_bytes"] < result["filled_bytes"] - result["imports_bytes"]
