"""A run that goes on elsewhere, or from between two checkpoints, says so."""

import pytest

from keras_dqn import presets
from keras_dqn.monitor import RunInfo
from keras_dqn.runs import provenance

pytestmark = pytest.mark.numpy
SETTINGS = presets.cartpole()
INFO = RunInfo(
    backend="jax",
    device="CPU",
    versions={"keras_dqn": "0.1.0", "numpy": "2.4.6"},
    env_options={"rom_md5": "f34f"},
)


def made_with(**changes):
    return {**provenance.facts(INFO), **changes}


def meta_of(past=None, is_due=True):
    past = past or provenance.Provenance(made_with())
    return {"settings": SETTINGS.to_dict(), **past.to_meta(is_due)}


def resumed(meta, is_due=True, **changes):
    past = provenance.Provenance(made_with(**changes))
    past.check(meta, SETTINGS)
    return past, past.resume(meta, is_due, env_steps=400)


def test_what_a_run_is_made_with_names_versions_backend_device_threads_and_game():
    facts = made_with()
    assert facts["version of numpy"] == "2.4.6"
    assert facts["version of keras_dqn"] == "0.1.0"
    assert (facts["backend"], facts["device"]) == ("jax", "CPU")
    assert facts["rom_md5"] == "f34f"
    assert facts["usable CPUs"] >= 1


def test_flags_that_decide_how_frameworks_round_are_of_it(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert made_with()["OMP_NUM_THREADS"] == "3"
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert "OMP_NUM_THREADS" not in made_with()


@pytest.mark.parametrize("value", [5, "x", [5], [None], {"a": "b"}])
def test_reasons_that_are_no_texts_are_refused(value):
    with pytest.raises(ValueError, match="`inexact_because` must be a list of"):
        resumed({**meta_of(), "inexact_because": value})


def test_the_same_machine_at_a_due_checkpoint_goes_on_exactly():
    assert meta_of()["exact"] is True
    past, notes = resumed(meta_of())
    assert notes == []
    assert past.to_meta(is_due=True)["exact"] is True


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version of numpy", "9.9"),
        ("backend", "torch"),
        ("device", "NVIDIA H100"),
        ("usable CPUs", -1),
        ("machine", "another"),
        ("OMP_NUM_THREADS", "a new flag"),
    ],
)
def test_whatever_differs_is_warned_of_and_remembered_for_ever(name, value):
    past, notes = resumed(meta_of(), **{name: value})
    assert len(notes) == 1
    assert name in notes[0] and str(value) in notes[0] and "not exactly" in notes[0]
    later = meta_of(past)
    assert later["exact"] is False
    assert f"resumed at 400 agent steps, {name}" in later["inexact_because"][0]
    # Once more, with nothing changed: the run is still not what it was.
    past, notes = resumed(later, **{name: value})
    assert "not exact since it was resumed at 400" in notes[0]
    assert past.to_meta(is_due=True)["exact"] is False


def test_a_checkpoint_between_two_due_ones_is_not_exact():
    meta = meta_of(is_due=False)
    assert meta["exact"] is False
    past, notes = resumed(meta, is_due=False)
    assert "between two scheduled checkpoints" in notes[0] and "not exactly" in notes[0]
    assert past.to_meta(is_due=True)["exact"] is False


def test_a_checkpoint_that_does_not_say_what_made_it_is_not_exact():
    meta = {"settings": SETTINGS.to_dict()}
    _, notes = resumed(meta)
    assert "no record" in notes[0]


def test_another_rom_is_refused():
    with pytest.raises(ValueError, match="rom_md5=0000, in the checkpoint f34f"):
        resumed(meta_of(), rom_md5="0000")


def test_asked_for_exactness_what_differs_is_refused():
    other = provenance.Provenance(made_with(backend="torch"))
    with pytest.raises(ValueError, match="backend: jax -> torch"):
        other.check(meta_of(), SETTINGS, exact=True)
    provenance.Provenance(made_with()).check(meta_of(), SETTINGS, exact=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"gamma": 0.5},
        {"n_steps": 3},
        {"env_id": "Acrobot-v1"},
        {"checkpoint_interval_iterations": 7},
        {"seed": 8},
        {"epsilon_endpoints": ((0, 1.0), (10, 0.5))},
    ],
)
def test_settings_that_make_another_run_are_refused_with_old_and_new(changes):
    (name,) = changes
    other = SETTINGS.replace(**changes)
    with pytest.raises(ValueError) as error:
        provenance.Provenance(made_with()).check(meta_of(), other)
    old, new = SETTINGS.to_dict()[name], other.to_dict()[name]
    assert f"{name}: {old} -> {new}" in str(error.value)


def test_a_longer_run_and_other_evaluations_are_the_same_run():
    other = SETTINGS.replace(
        env_steps=200_000, log_interval_iterations=3, evaluation_episodes=5
    )
    provenance.Provenance(made_with()).check(meta_of(), other, exact=True)
