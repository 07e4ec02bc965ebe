"""What a resume promises is what the checkpoint says of itself, and it is said."""

import json
import os
import shutil

import pytest

from keras_dqn import checkpoint
from keras_dqn.runs import digests
from keras_dqn.runs import provenance
from keras_dqn.runs.checkpoints import RunCheckpoints
from tests import runs
from tests import small

SETTINGS = small.settings(
    env_id="CartPole-v1",
    env_steps=96,
    vector_steps_per_iteration=4,
    replay_capacity=64,
    checkpoint_interval_iterations=4,
    log_interval_iterations=1,
)


def run_to(out, iteration=None, resume=False, exact=False, **changes):
    """Returns the digests at the end, before iteration `iteration`."""

    def stop(agent, progress):
        return progress.iteration + 1 == iteration

    options = {"resume": resume, "exact": exact, "callbacks": [stop]}
    run = runs.train(SETTINGS.replace(**changes), out, console="plain", **options)
    return {
        **digests.of_learner(run.agent.learner),
        **digests.of_replay(run.agent.replay),
        **digests.of_run_state(run.state),
        "metrics": digests.of_metrics(out / "metrics.jsonl"),
    }


def newest_meta(out):
    return checkpoint.load(out / "checkpoints")[2]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run_to(tmp_path_factory.mktemp("whole") / "run")


def test_with_exact_a_stop_between_checkpoints_costs_what_came_after_the_last(
    whole, tmp_path, capsys
):
    out = tmp_path / "run"
    run_to(out, iteration=6)  # checkpoints: 4, due, and 6, not due
    assert newest_meta(out)["exact"] is False
    capsys.readouterr()
    assert run_to(out, resume=True, exact=True) == whole
    text = capsys.readouterr().out
    assert "at 32 agent steps" in text and "Skipped" in text
    assert "not exactly" not in text
    assert newest_meta(out)["exact"] is True


def test_without_exact_it_costs_nothing_and_is_never_called_exact_again(
    whole, tmp_path, capsys
):
    out = tmp_path / "run"
    run_to(out, iteration=6)
    assert run_to(out, resume=True, iteration=8) != whole
    assert "not exactly" in capsys.readouterr().out
    meta = newest_meta(out)
    assert meta["exact"] is False
    assert meta["inexact_because"] == [
        "resumed at 48 agent steps, between two scheduled checkpoints"
    ]
    run_to(out, resume=True)
    assert "not exact since it was resumed at 48" in capsys.readouterr().out


def test_a_resume_with_another_version_goes_on_and_says_which(
    tmp_path, capsys, monkeypatch
):
    out = tmp_path / "run"
    run_to(out, iteration=8)
    assert newest_meta(out)["exact"] is True
    facts = provenance.facts
    monkeypatch.setattr(
        provenance, "facts", lambda info: {**facts(info), "version of keras": "99.0"}
    )
    with pytest.raises(checkpoint.CheckpointError, match="exact resume needs"):
        run_to(out, resume=True, exact=True)
    capsys.readouterr()
    run_to(out, resume=True)
    text = capsys.readouterr().out
    assert "version of keras: 3." in text and "-> 99.0" in text
    assert "not exactly" in text
    assert newest_meta(out)["exact"] is False


def test_what_the_run_is_made_with_is_in_the_checkpoint(tmp_path):
    run_to(tmp_path / "run", iteration=2)
    made_with = newest_meta(tmp_path / "run")["made_with"]
    for name in ("keras_dqn", "keras", made_with["backend"], "numpy", "gymnasium"):
        assert made_with[f"version of {name}"]
    assert made_with["device"] and made_with["usable CPUs"] >= 1

    assert made_with["backend"] != "jax" or made_with["version of jaxlib"]


def forge_meta(out, monkeypatch, **changes):
    """As if the newest checkpoint had said so itself."""
    load = checkpoint.Store.load

    def forged(*args):
        loaded = load(*args)
        meta = {**loaded.meta, **changes}
        if "run" in changes:
            meta["run"] = {**loaded.meta["run"], **changes["run"]}
        return loaded._replace(meta=meta)

    monkeypatch.setattr(checkpoint.Store, "load", forged)


@pytest.mark.parametrize(
    "changes",
    [
        {"inexact_because": 5},
        {"run": {"reward_abs_max": 10**400}},
        {"run": {"reward_abs_max": "x"}},
        {"run": {"reward_abs_max": -1.0}},
        {"run": {"iteration": True}},
        {"best_score": "9"},
        {"made_with": 5},
        {"settings": 5},
    ],
)
def test_a_checkpoint_that_says_what_cannot_be_is_an_io_error_in_one_line(
    tmp_path, capsys, monkeypatch, changes
):
    out = tmp_path / "run"
    run_to(out, iteration=4)
    forge_meta(out, monkeypatch, **changes)
    assert runs.command("train", "--resume", "--out", out) == 74
    text = capsys.readouterr().err
    assert "checkpoint-000000000032" in text and "Traceback" not in text


def edit_settings(out, **changes):
    path = out / "settings.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_settings_that_were_edited_by_hand_are_held_against_the_checkpoint(
    tmp_path, capsys
):
    out = tmp_path / "run"
    run_to(out, iteration=4)
    edit_settings(out, gamma=0.5, n_steps=2)
    assert runs.command("train", "--resume", "--out", out) == 74
    text = capsys.readouterr().err
    assert "gamma: 0.99 -> 0.5" in text and "n_steps: 1 -> 2" in text


def test_another_rom_is_refused_by_the_command(tmp_path, capsys, monkeypatch):
    out = tmp_path / "run"
    rom = {"rom_md5": "0" * 32}
    facts = provenance.facts
    monkeypatch.setattr(provenance, "facts", lambda info: {**facts(info), **rom})
    run_to(out, iteration=4)
    rom["rom_md5"] = "1" * 32
    assert runs.command("train", "--resume", "--out", out) == 74
    assert "ROM must be the same" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("iteration", "witness"), [(10, "metrics.jsonl"), (3, "network.keras")]
)
def test_without_the_checkpoints_that_there_were_no_run_starts_anew(
    tmp_path, capsys, iteration, witness
):
    out = tmp_path / "run"
    run_to(out, iteration=iteration)
    shutil.rmtree(out / "checkpoints")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert runs.command("train", "--resume", "--out", out) == 74
    assert f"but {witness} shows" in capsys.readouterr().err
    assert before == {
        path.name: path.read_bytes() for path in out.iterdir() if path.is_file()
    }


def test_without_the_checkpoints_of_a_slow_run_none_starts_anew(tmp_path, capsys):
    """It logged for twenty minutes, of which it had saved some."""
    out = tmp_path / "run"
    run_to(out, iteration=2)
    shutil.rmtree(out / "checkpoints")
    (out / "network.keras").unlink()
    began = (out / "settings.json").stat().st_mtime
    os.utime(out / "metrics.jsonl", (began, began + 20 * 60))
    assert runs.command("train", "--resume", "--out", out) == 74
    assert "but metrics.jsonl shows" in capsys.readouterr().err
    os.utime(out / "metrics.jsonl", (began, began + 20 * 60 - 1))
    assert runs.command("train", "--resume", "--out", out, "--no-evaluation") == 0


def test_checkpoints_by_the_clock_change_nothing_and_the_newest_exact_one_stays(
    whole, tmp_path, monkeypatch
):
    # After every iteration, even while one is being written: it is waited for.
    monkeypatch.setattr(RunCheckpoints, "is_due", lambda self: True)
    assert run_to(tmp_path / "often") == whole
    out = tmp_path / "run"
    run_to(out, iteration=7)
    names = sorted(path.name for path in (out / "checkpoints").glob("checkpoint-*"))
    assert names[0] == "checkpoint-000000000032" and len(names) == 3
    assert newest_meta(out)["run"]["iteration"] == 7
    assert not newest_meta(out)["exact"]
    assert run_to(out, resume=True, exact=True) == whole  # without a limit of time


def test_exact_without_resume_is_a_wrong_use(capsys):
    assert runs.command("train", "--exact") == 64
    assert "--exact needs --resume" in capsys.readouterr().err


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_anew(whole, tmp_path):
    class Killed(BaseException):
        pass

    def kill(agent, progress):
        if progress.iteration == 2:
            raise Killed

    out = tmp_path / "run"
    with pytest.raises(Killed):
        runs.train(SETTINGS, out, callbacks=[kill])
    assert (out / "metrics.jsonl").stat().st_size
    assert run_to(out, resume=True) == whole  # the log, too
