"""Checkpoints are whole or not there, and damage is found and named."""

import json

import numpy as np
import pytest

from keras_dqn import checkpoint
from tests import vault

pytestmark = pytest.mark.numpy


@pytest.fixture(autouse=True)
def two_columns_in_a_segment(monkeypatch):
    monkeypatch.setattr(vault.ring_module, "SEGMENT_BYTES", 60)


META = {"iteration": 4, "nested": {"big": 2**100}}


def test_what_is_saved_comes_back_equal_with_dtypes(tmp_path):
    path = checkpoint.save(tmp_path, 320, vault.PARTS, META)
    loaded = checkpoint.load(tmp_path)
    assert loaded.path == path
    assert path.name == "checkpoint-000000000320"
    assert loaded.meta == META
    assert loaded.notes == []
    for part, arrays in vault.PARTS.items():
        assert loaded.parts[part].keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(loaded.parts[part][name], array)
            assert loaded.parts[part][name].dtype == array.dtype
            assert loaded.parts[part][name].shape == array.shape


def test_arrays_in_any_order_of_memory_are_saved_right(tmp_path):
    array = np.arange(24.0).reshape(2, 3, 4)
    odd = {"turned": array.T, "stepped": array[:, ::2], "back": array[0, 0, ::-1]}
    checkpoint.save(tmp_path, 1, {"part": odd}, {})
    parts = checkpoint.load(tmp_path).parts
    for name, expected in odd.items():
        np.testing.assert_array_equal(parts["part"][name], expected)


def test_the_newest_is_loaded_and_two_are_kept(tmp_path):
    for env_steps in (10, 200, 3_000):
        checkpoint.save(tmp_path, env_steps, vault.PARTS, {"at": env_steps})
    assert checkpoint.load(tmp_path).meta == {"at": 3_000}
    names = sorted(path.name for path in tmp_path.glob("checkpoint-*"))
    assert names == ["checkpoint-000000000200", "checkpoint-000000003000"]


def test_the_same_step_again_takes_another_name_and_is_the_newer(tmp_path):
    for number in range(3):
        path = checkpoint.save(tmp_path, 10, vault.PARTS, {"number": number})
    assert path.name == "checkpoint-000000000010.2"
    assert checkpoint.load(tmp_path).meta == {"number": 2}
    assert len(list(tmp_path.glob("checkpoint-*"))) == 2


def test_without_any_checkpoint_there_is_nothing_to_load(tmp_path):
    assert checkpoint.load(tmp_path) is None
    assert checkpoint.load(tmp_path / "missing") is None


def test_only_checkpoints_of_the_requested_kind_are_loaded(tmp_path):
    for env_steps in (1, 2):
        checkpoint.save(tmp_path, env_steps, vault.PARTS, {"at": env_steps})
    loaded = checkpoint.load(tmp_path, lambda meta: meta["at"] == 1)
    assert loaded.meta == {"at": 1}
    assert "not of the requested kind" in loaded.notes[0]


def every_file(tmp_path):
    """Every file of the newest checkpoint, its segments included."""
    newest = sorted(tmp_path.glob("checkpoint-*"))[-1]
    body = json.loads((newest / "manifest.json").read_text())["body"]
    segments = body["parts"]["replay"]["rings"]["frames"]["segments"]
    own = sorted(newest.iterdir())
    return newest, own + [tmp_path / "segments" / each["file"] for each in segments]


def every_damage(content):
    size = len(content)
    for length in {0, 1, 5, size // 2, size - 1}:
        yield f"cut to {length} bytes", content[:length]
    for number, offset in enumerate([0, size // 3, size // 2, size - 1]):
        flipped = bytes([content[offset] ^ (1 << number)])
        yield (
            f"a bit of byte {offset}",
            content[:offset] + flipped + content[offset + 1 :],
        )
    yield "a pickle", b"\x80\x04cos\nsystem\n."
    yield "one more byte", content + b"\0"


def test_any_damaged_file_makes_load_fall_back_and_name_it(tmp_path):
    # All segments are new in the second, so that the first has none of them.
    checkpoint.save(tmp_path, 1, vault.with_ring(6, 4), {"at": 1})
    checkpoint.save(tmp_path, 2, vault.with_ring(9, 4), {"at": 2})
    newest, files = every_file(tmp_path)
    assert len(files) == 6  # manifest, meta, two parts, two segments
    for file in files:
        content = file.read_bytes()
        for damage, damaged in every_damage(content):
            file.write_bytes(damaged)
            loaded = checkpoint.load(tmp_path)
            assert loaded.meta == {"at": 1}, (file.name, damage)
            assert f"Skipped {newest.name}: " in loaded.notes[0]
            assert file.name in loaded.notes[0] or file.name == "manifest.json"
        file.write_bytes(content)
    assert checkpoint.load(tmp_path).meta == {"at": 2}


def test_any_missing_file_makes_load_fall_back_and_name_it(tmp_path):
    checkpoint.save(tmp_path, 1, vault.with_ring(6, 4), {"at": 1})
    checkpoint.save(tmp_path, 2, vault.with_ring(9, 4), {"at": 2})
    for file in every_file(tmp_path)[1]:
        away = file.rename(tmp_path / "away")
        loaded = checkpoint.load(tmp_path)
        assert loaded.meta == {"at": 1}
        assert file.name in loaded.notes[0]
        away.rename(file)


def test_an_unknown_file_is_ignored_and_reported(tmp_path):
    path = checkpoint.save(tmp_path, 1, vault.PARTS, META)
    (path / "stranger.bin").write_bytes(b"?")
    loaded = checkpoint.load(tmp_path)
    assert loaded.path == path
    (note,) = loaded.notes
    assert note.startswith(f"Ignored {path.name}/stranger.bin")


def test_if_none_is_valid_the_error_lists_each_with_its_reason(tmp_path):
    for env_steps in (1, 2):
        path = checkpoint.save(tmp_path, env_steps, vault.PARTS, META)
        (path / "learner.bin").write_bytes(b"")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(checkpoint.CheckpointError) as error:
        checkpoint.load(tmp_path)
    text = str(error.value)
    assert "checkpoint-000000000001: learner.bin should have" in text
    assert "checkpoint-000000000002: learner.bin should have" in text
    assert sorted(tmp_path.rglob("*")) == before  # nothing is deleted


def test_what_cannot_be_saved_is_refused_before_anything_is_written(tmp_path):
    for bad in (np.array([object()]), np.array(["text"]), np.zeros(1, "M8[s]")):
        with pytest.raises(ValueError, match="cannot be saved"):
            checkpoint.save(tmp_path / "new", 1, {"learner": {"bad": bad}}, META)
    with pytest.raises(ValueError, match="not JSON compliant"):
        checkpoint.save(tmp_path / "new", 1, vault.PARTS, {"score": float("nan")})
    assert not (tmp_path / "new").exists()
