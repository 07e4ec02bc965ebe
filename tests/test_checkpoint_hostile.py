"""Whatever lies in a checkpoint's place is refused: nothing runs, grows or escapes."""

import hashlib
import json
import os
import pickle
import resource
import socket
import zipfile

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from keras_dqn import checkpoint
from keras_dqn.checkpoint import manifest
from keras_dqn.system import files
from tests import vault

pytestmark = pytest.mark.numpy
LIMITS = {
    "learner": {"online/0": ("f4", (2, 3)), "nothing": ("f8", (9, 5))},
    "replay": {"actions": ("i4", (2,)), "full": ("?", ()), "frames": ("u2", (3, 4, 5))},
}


@pytest.fixture(autouse=True)
def canary(tmp_path, monkeypatch):
    """No file is made outside, no connection, and no gigabytes are asked for."""
    monkeypatch.setattr(vault.ring_module, "SEGMENT_BYTES", 60)

    def refuse(*args, **kwargs):
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket, "socket", refuse)
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)
    assert not (tmp_path / "canary").exists()


@pytest.fixture
def path(tmp_path):
    """The newer of two checkpoints."""
    store = checkpoint.Store(tmp_path / "c")
    store.save(1, vault.with_ring(6, 4), {"at": 1})
    return store.save(2, vault.with_ring(9, 4), {"at": 2})


def check_refused(path, words=""):
    loaded = checkpoint.load(path.parent, limits=LIMITS)
    assert loaded.meta == {"at": 1}
    assert path.name in loaded.notes[0] and words in loaded.notes[0]


def forge(path, change):
    """Changes the manifest as a forger does, who mends its own digest too."""
    file = path / "manifest.json"
    body = json.loads(file.read_text())["body"]
    change(body)
    file.write_text(json.dumps(manifest.seal(body)))


class Canary:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("name", ["manifest.json", "meta.json", "learner.bin"])
def test_pickles_in_any_place_are_never_unpickled(path, tmp_path, name):
    (path / name).write_bytes(pickle.dumps(Canary(tmp_path / "canary")))
    check_refused(path, name)


def test_an_archive_of_pickled_objects_in_the_place_of_a_part_is_bytes(path, tmp_path):
    """With a manifest that says it is right: numbers come out, and nothing runs."""
    file = path / "learner.bin"
    np.savez(file.open("wb"), a=np.array([Canary(tmp_path / "canary")], dtype=object))
    size = file.stat().st_size

    def change(body):
        facts = body["parts"]["learner"]
        facts["bytes"] = size
        facts["sha256"] = _sha256(file)
        facts["arrays"] = [["online/0", "|u1", [size]]]

    forge(path, change)
    check_refused(path, "`online/0` of learner must have")
    parts = checkpoint.load(path.parent).parts  # without limits: plain bytes
    assert parts["learner"]["online/0"].dtype == np.uint8


def _sha256(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_bomb_of_zeros_is_never_unpacked(path):
    with zipfile.ZipFile(path / "learner.bin", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("online/0.npy", bytes(10_000_000))
    check_refused(path, "learner.bin should have")


def arrays(body, part="learner"):
    return body["parts"][part]["arrays"]


def ring(body):
    return body["parts"]["replay"]["rings"]["frames"]


FORGERIES = {
    "huge array": lambda b: arrays(b).append(["more", "<f8", [2**60]]),
    "product that overflows": lambda b: arrays(b)[0].__setitem__(2, [2**32, 2**32]),
    "huge and empty": lambda b: arrays(b)[1].__setitem__(2, [0, 2**61]),
    "longer than asked": lambda b: arrays(b)[1].__setitem__(2, [0, 6]),
    "negative length": lambda b: arrays(b)[0].__setitem__(2, [-2, -3]),
    "length of another type": lambda b: arrays(b)[0].__setitem__(2, [2.0, 3]),
    "boolean length": lambda b: arrays(b)[1].__setitem__(2, [False, 5]),
    "too many axes": lambda b: arrays(b)[0].__setitem__(2, [1] * 64 + [2, 3]),
    "objects": lambda b: arrays(b)[0].__setitem__(1, "|O8"),
    "strings": lambda b: arrays(b)[0].__setitem__(1, "<U1"),
    "another dtype": lambda b: arrays(b)[0].__setitem__(1, "<i4"),
    "no dtype": lambda b: arrays(b)[0].__setitem__(1, None),
    "structure": lambda b: arrays(b)[0].__setitem__(1, "f4,O"),
    "unknown array": lambda b: arrays(b)[0].__setitem__(0, "online/7"),
    "same name twice": lambda b: arrays(b).append(["nothing", "<f8", [0, 5]]),
    "no array": lambda b: arrays(b).append(7),
    "array of two": lambda b: arrays(b).append(["a", "<f8"]),
    "missing arrays": lambda b: b["parts"]["learner"].pop("arrays"),
    "another size": lambda b: b["parts"]["learner"].update(bytes=25),
    "size as text": lambda b: b["parts"]["learner"].update(bytes="24"),
    "no digest": lambda b: b["parts"]["learner"].update(sha256=""),
    "part elsewhere": lambda b: b["parts"].update({"../out": b["parts"]["learner"]}),
    "absolute part": lambda b: b["parts"].update({"/etc/x": b["parts"]["learner"]}),
    "unknown part": lambda b: b["parts"].update(other=b["parts"]["learner"]),
    "missing part": lambda b: b["parts"].pop("replay"),
    "parts as a list": lambda b: b.update(parts=[]),
    "segment elsewhere": lambda b: ring(b)["segments"][0].update(file="../meta.json"),
    "absolute segment": lambda b: ring(b)["segments"][0].update(file="/etc/passwd"),
    "segment of no name": lambda b: ring(b)["segments"][0].update(file=""),
    "segment that overlaps": lambda b: ring(b)["segments"][1].update(start=1),
    "segment missing": lambda b: ring(b)["segments"].pop(),
    "segment too long": lambda b: ring(b)["segments"][1].update(stop=2**40),
    "huge ring": lambda b: ring(b).update(shape=[3, 4, 2**50]),
    "flat ring": lambda b: ring(b).update(shape=[4]),
    "ring of objects": lambda b: ring(b).update(dtype="|O8"),
    "time as text": lambda b: ring(b)["segments"][0].update(time="9"),
    "steps as text": lambda b: b.update(env_steps="2"),
    "steps too many": lambda b: b.update(env_steps=2**80),
    "no meta": lambda b: b.pop("meta"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_manifest_is_refused_before_memory_is_taken(path, name):
    forge(path, FORGERIES[name])
    check_refused(path)


def test_a_sparse_file_beyond_the_limits_is_refused(path):
    def change(body):
        facts = body["parts"]["learner"]
        facts["bytes"] += 2**40
        facts["arrays"].append(["more", "|u1", [2**40]])

    forge(path, change)
    os.truncate(path / "learner.bin", (path / "learner.bin").stat().st_size + 2**40)
    check_refused(path, "'more'")


def link(file, target):
    os.unlink(file)
    os.symlink(target, file)


def pipe(file, _):
    os.unlink(file)
    os.mkfifo(file)


def device(file, _):
    link(file, "/dev/zero")


def directory(file, _):
    os.unlink(file)
    os.mkdir(file)


@pytest.mark.parametrize("make", [link, pipe, device, directory])
@pytest.mark.parametrize("name", ["manifest.json", "meta.json", "replay.bin", None])
def test_anything_but_a_regular_file_is_refused(path, make, name):
    """`None`: a segment."""
    newest = vault.segments(vault.body(path))[0]["file"]
    file = path / name if name else path.parent / "segments" / newest
    target = file.with_name("elsewhere")
    target.write_bytes(file.read_bytes())
    make(file, target)
    check_refused(path, file.name if name else "is not a regular file")


def test_directories_that_are_links_are_refused(path, tmp_path):
    moved = path.rename(tmp_path / "moved")
    path.symlink_to(moved)
    check_refused(path, "not a directory")
    path.unlink()
    moved.rename(path)
    segments = path.parent / "segments"
    moved = segments.rename(tmp_path / "moved")
    segments.symlink_to(moved)
    with pytest.raises(
        checkpoint.CheckpointError, match="segments must be a directory"
    ):
        checkpoint.load(path.parent, limits=LIMITS)


BAD_JSON = {
    "twice": ('{"a": 1, "a": 2}', "duplicate key 'a'"),
    "NaN": ('{"a": NaN}', "NaN is not a number"),
    "infinity": ('{"a": -Infinity}', "-Infinity is not a number"),
    "too large for a float": ('{"a": 1e999}', "1e999 is not a number"),
    "deep": ("[" * 1_000_000, "nested too deep"),
    "deep objects": ('{"a":' * 1_000_000, "nested too deep"),
    "huge number": ("9" * 5000, "is not strict JSON"),
    "half": ('{"a": ', "is not strict JSON"),
    "empty": ("", "is not strict JSON"),
    "not text": (b"\xff\xfe\x00", "is not strict JSON"),
    "too large": (" " * (2**24 + 1), "is larger than"),
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_json_that_is_not_strict_is_refused_with_its_reason(tmp_path, name):
    text, reason = BAD_JSON[name]
    file = tmp_path / "meta.json"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ValueError, match=f"meta.json .*{reason}"):
        files.read_json(file)


@pytest.mark.parametrize("name", ["twice", "NaN", "deep", "not text"])
def test_a_checkpoint_with_such_a_manifest_is_skipped(path, name):
    text = BAD_JSON[name][0]
    (path / "manifest.json").write_bytes(
        text.encode() if isinstance(text, str) else text
    )
    check_refused(path, "manifest.json")


@pytest.mark.parametrize("value", ["null", "[]", "7", '"text"', "{}", '{"body": 1}'])
def test_json_of_another_structure_is_not_a_manifest(path, value):
    (path / "manifest.json").write_text(value)
    check_refused(path, "must have `")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner)
    ),
    max_leaves=5,
)


@hypothesis.settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(data=st.data())
def test_any_value_anywhere_in_the_manifest_is_refused_with_value_error(data):
    body = json.loads(json.dumps(SAMPLE))
    places = list(every_place(body))
    container, key = data.draw(st.sampled_from(places))
    container[key] = data.draw(values)
    try:
        manifest.checked_body(manifest.seal(body))
        manifest.check_limits(body, LIMITS)
    except ValueError:
        pass


SAMPLE = {
    "env_steps": 2,
    "meta": {"bytes": 1, "sha256": "0" * 64},
    "parts": {
        "learner": {
            "bytes": 24,
            "sha256": "0" * 64,
            "arrays": [["online/0", "<f4", [2, 3]]],
            "rings": {},
        },
        "replay": {
            "bytes": 0,
            "sha256": "0" * 64,
            "arrays": [],
            "rings": {
                "frames": {
                    "dtype": "<u2",
                    "shape": [3, 4, 5],
                    "segments": [
                        {
                            "file": "000001.bin",
                            "bytes": 120,
                            "sha256": "0" * 64,
                            "start": 0,
                            "stop": 4,
                            "time": 9,
                        }
                    ],
                }
            },
        },
    },
}


def every_place(value):
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield value, key
        if isinstance(inner, dict | list):
            yield from every_place(inner)


def test_the_sample_manifest_is_good():
    manifest.check_limits(manifest.checked_body(manifest.seal(SAMPLE)), LIMITS)


def test_bytes_that_are_not_booleans_are_refused(path):
    file = path / "replay.bin"
    file.write_bytes(file.read_bytes()[:-1] + b"\x02")
    forge(path, lambda body: body["parts"]["replay"].update(sha256=_sha256(file)))
    check_refused(path, "`full` of replay has values other than 0 and 1")


def test_a_newer_format_is_refused_and_nothing_older_is_loaded(path):
    file = path / "manifest.json"
    body = {"whatever": "comes"}
    later = manifest.seal(body, number=3)
    file.write_text(json.dumps(later))
    with pytest.raises(checkpoint.CheckpointError, match="newer version.*format=3"):
        checkpoint.load(path.parent)
    file.write_text(json.dumps({**later, "format": 4}))  # a flipped bit, perhaps
    check_refused(path, "manifest.json was changed")


def test_files_are_new_and_have_the_permissions_of_the_umask(path, tmp_path):
    with pytest.raises(FileExistsError):
        files.write_new(path / "meta.json", [b"x"])
    before = os.umask(0o027)
    try:
        newer = checkpoint.save(tmp_path / "new", 1, vault.with_ring(9, 4), {})
    finally:
        os.umask(before)
    made = [each for each in newer.parent.rglob("*") if each.is_file()]
    assert {each.stat().st_mode & 0o777 for each in made} == {0o640}
    os.symlink(tmp_path / "canary", tmp_path / "link")
    with pytest.raises(FileExistsError):
        files.write_new(tmp_path / "link", [b"x"])
