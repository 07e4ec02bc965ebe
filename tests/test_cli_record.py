"""`keras-dqn record`: films a game, and refuses what cannot be filmed."""

import importlib.util
import json

import gymnasium
import imageio_ffmpeg
import keras
import numpy as np
import pytest
from PIL import Image

import keras_dqn
from keras_dqn.video.streams import outputs_of
from keras_dqn.video.streams import saliency_of
from keras_dqn.video.streams import with_float_input
from tests import runs
from tests import toys


class FilmedEcho(toys.EchoEnv):
    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self, render_mode=None):
        super().__init__()
        self.render_mode = render_mode

    def render(self):
        return np.zeros((8, 6, 3), np.uint8)


WORDS = ("--pretrained", "breakout", "--seconds", "1")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_pretrained_network_is_filmed_as_mp4_and_gif(here, capsys):
    assert runs.command("record", *WORDS, "--seed", 3) == 0
    text = capsys.readouterr().out
    assert "15 frames in video.mp4 and video.gif" in text
    assert imageio_ffmpeg.count_frames_and_secs("video.mp4")[0] == 15
    with Image.open("video.gif") as image:
        assert image.n_frames == 15 and image.size == (668, 420)
    assert runs.command("record", *WORDS) == 74
    assert "--force replaces" in capsys.readouterr().err
    words = ("--force", "--out", "video.gif", "--start", 2, "--screen-only")
    assert runs.command("record", *WORDS, *words) == 0
    with Image.open("video.gif") as image:
        assert image.size == (320, 420)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--out", "a.avi"], 78, "must end with .mp4 or .gif"),
        (["--out", "nowhere/a.mp4"], 74, "No such directory"),
        (["--best-of", "0"], 78, "best_of"),
        (["--seconds", "0"], 78, "seconds"),
        (["--scale", "0"], 78, "scale"),
        (["--start", "-1"], 78, "start"),
        (["--start", "1e6"], 78, "before the end of the game"),
        (["--epsilon", "2"], 78, "epsilon"),
        (["--env", "CartPole-v1"], 78, "(4,)"),
        (["--saliency", "--screen-only"], 78, "--screen-only"),
        (["--forse"], 64, "--force"),
    ],
)
def test_what_cannot_be_filmed_is_refused_in_a_line_or_two(
    words, code, message, here, capsys
):
    assert runs.command("record", *WORDS, *words) == code
    text = capsys.readouterr().err
    assert message in text and "Traceback" not in text
    assert len(text.strip().splitlines()) <= 2
    assert not list(here.iterdir())


def test_a_missing_encoder_is_refused_before_a_game_is_played(
    here, capsys, monkeypatch
):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name: None if name == "imageio_ffmpeg" else find(name),
    )
    assert runs.command("record", *WORDS) == 78
    text = capsys.readouterr().err
    assert "pip install 'keras_dqn[video]'" in text and "imageio_ffmpeg" in text


def test_a_run_is_filmed_in_its_folder_with_its_options(tmp_path):
    network = keras_dqn.pretrained.load("breakout")
    network.save(tmp_path / "network.keras")
    settings = keras_dqn.presets.atari(
        env_id="Breakout", repeat_action_probability=0.25, frame_skip=3
    )
    (tmp_path / "settings.json").write_text(json.dumps(settings.to_dict()))
    assert runs.command("record", tmp_path, "--seconds", 1) == 0
    assert imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "video.mp4"))[0] == 20
    assert (tmp_path / "video.gif").exists()


def test_the_streams_add_up_to_the_q_values():
    network = keras_dqn.models.dueling_mlp(3, (4,), (8,), seed=0)
    observations = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    found = outputs_of(network)(observations)
    expected = found.values[:, None] + found.advantages
    np.testing.assert_allclose(found.q_values, expected, atol=1e-5)
    np.testing.assert_allclose(found.advantages.mean(axis=1), 0.0, atol=1e-6)


def test_the_saliency_is_the_gradient_of_the_largest_q_value():
    network = keras_dqn.models.dueling_cnn(3, (36, 36, 2), 8, seed=0)
    observations = np.random.default_rng(0).integers(256, size=(2, 36, 36, 2))
    observations = observations.astype(np.uint8)
    saliency = saliency_of(network)(observations[0])
    assert saliency.shape == (36, 36, 2)
    # The largest gradients of the first image, by finite differences.
    copy = with_float_input(network)
    where = np.argsort(saliency.ravel())[-5:]
    for position in where:
        change = np.zeros(36 * 36 * 2, np.float32)
        change[position] = 1.0
        change = change.reshape(1, 36, 36, 2)
        above, below = (
            copy.predict_on_batch(observations[:1] + sign * change).max()
            for sign in (1.0, -1.0)
        )
        expected = abs(above - below) / 2.0
        assert saliency.ravel()[position] == pytest.approx(expected, rel=0.2)


def test_a_film_shows_the_saliency_in_red(here):
    words = ("--saliency", "--out", "a.gif", "--seconds", 0.5)
    assert runs.command("record", *WORDS[:2], *words, "--start", 1) == 0
    with Image.open("a.gif") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)[72:150, 332:]
    is_red = (pixels[..., 0] > 150) & (pixels[..., 1] < 100)
    assert 20 < is_red.sum() < 0.2 * is_red.size


def test_the_saliency_of_numbers_is_refused(tmp_path, capsys):
    network = keras_dqn.models.dueling_mlp(4, (4,), (8,), seed=0)
    network.save(tmp_path / "network.keras")
    gymnasium.register("FilmedEcho-v0", entry_point=FilmedEcho)
    try:
        words = ("--env", "FilmedEcho-v0", "--saliency", "--out", "a.gif")
        assert runs.command("record", tmp_path / "network.keras", *words) == 78
    finally:
        del gymnasium.registry["FilmedEcho-v0"]
    assert "gray frames" in capsys.readouterr().err


def test_a_network_without_streams_has_q_values_alone():
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    found = outputs_of(network)(np.ones((2, 4), "float32"))
    assert found.q_values.shape == (2, 3)
    assert found.values is None and found.advantages is None
