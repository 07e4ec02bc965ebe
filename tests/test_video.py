"""Films: the screens belong to the game, the frames show it, the files play."""

import numpy as np
import pytest
from gymnasium import spaces
from PIL import Image

from keras_dqn.envs import EnvFault
from keras_dqn.envs import make_envs
from keras_dqn.envs.screens import make_filmed_envs
from keras_dqn.envs.screens import make_screens
from keras_dqn.video import drawing
from keras_dqn.video import files
from keras_dqn.video import recording
from keras_dqn.video.recording import Outputs
from tests import toys

pytestmark = pytest.mark.numpy


class RenderingEnv(toys.CountingEnv):
    """Renders an image whose red is the time."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, render_mode=None, **options):
        super().__init__(**options)
        self.render_mode = render_mode

    def render(self):
        return np.full((8, 6, 3), (self._time, 0, 0), np.uint8)


class ImageEnv(toys.CountingEnv):
    """Its observation is an image whose pixels are the time."""

    def __init__(self):
        super().__init__()
        self.observation_space = spaces.Box(0, 255, (8, 6, 1), np.uint8)

    def _observe(self):
        return np.full((8, 6, 1), self._time, np.uint8)


def outputs_of_echo(observations):
    """The best actions of `EchoEnv`, with values and advantages."""
    q_values = observations * 2.0 - 0.5
    return Outputs(q_values, q_values.mean(axis=1), q_values - q_values.mean())


@pytest.mark.parametrize("sticky", [0.0, 0.25])
def test_color_screens_are_of_the_game_that_the_agent_sees(sticky):
    options = {"repeat_action_probability": sticky}
    rng = np.random.default_rng(0)
    with (
        make_filmed_envs("Breakout", **options) as envs,
        make_screens(envs) as screens,
    ):
        assert screens.frames_per_second == 15.0
        screen = screens.reset(7, envs.reset(seed=7))
        errors, of_others = [], []
        for _ in range(300):
            actions = rng.integers(envs.num_actions, size=1)
            step = envs.step(actions)
            last, screen = screen, screens.step(actions, step)
            assert screen.shape == (210, 160, 3) and screen.dtype == np.uint8
            seen = step.observations[0, -1].astype(float)
            for image, found in ((screen, errors), (last, of_others)):
                gray = Image.fromarray(image).convert("L").resize((84, 84), 4)  # BOX
                found.append(np.abs(np.asarray(gray) - seen).mean())
    assert max(errors) < 4.0
    assert np.mean(of_others) > 1.05 * np.mean(errors)  # the screen before differs


def test_a_screen_of_another_game_is_a_fault():
    with make_filmed_envs("Pong") as envs, make_screens(envs) as screens:
        screens.reset(8, envs.reset(seed=7))  # another number of no-ops
        with pytest.raises(EnvFault, match="has left the game"):
            for number in range(2_000):
                actions = np.array([number % envs.num_actions])
                screens.step(actions, envs.step(actions))


def test_a_gymnasium_environment_is_rendered():
    with make_filmed_envs(RenderingEnv) as envs, make_screens(envs) as screens:
        assert screens.frames_per_second == 10.0
        reds = [int(screens.reset(0, envs.reset(seed=0))[0, 0, 0])]
        for _ in range(5):
            actions = np.array([0])
            reds.append(int(screens.step(actions, envs.step(actions))[0, 0, 0]))
    assert reds == [0, 1, 2, 3, 4, 4]  # the last step has begun the next episode


def test_images_that_are_observations_are_screens():
    with make_filmed_envs(ImageEnv) as envs, make_screens(envs) as screens:
        first = screens.reset(0, envs.reset(seed=0))
        assert first.shape == (8, 6, 3)
        for _ in range(5):
            actions = np.array([0])
            screen = screens.step(actions, envs.step(actions))
        assert (screen == 5).all()  # the final observation


def test_what_shows_nothing_is_refused():
    with make_filmed_envs(toys.EchoEnv) as envs:
        with pytest.raises(ValueError, match="EchoEnv cannot be filmed"):
            make_screens(envs)
    with make_envs(RenderingEnv, 2) as envs:
        with pytest.raises(ValueError, match="num_envs=2"):
            make_screens(envs)


class ShownEcho(toys.EchoEnv):
    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self, render_mode=None):
        super().__init__(symbols=4, length=12)
        self.render_mode = render_mode

    def render(self):
        return np.full((8, 6, 3), 200, np.uint8)


def recorded(count=1, epsilon=0.0, **options):
    with make_filmed_envs(ShownEcho) as envs, make_screens(envs) as screens:
        return recording.best_of(
            count, outputs_of_echo, envs, screens, epsilon, 3, **options
        )


def test_a_greedy_game_is_kept_step_by_step():
    game = recorded()
    assert game.score == 12.0 and len(game.moments) == 12
    assert [moment.score for moment in game.moments] == list(range(12))
    for moment in game.moments:
        assert moment.is_greedy
        assert moment.observation.array()[moment.action] == 1.0
        assert moment.screen.array().shape == (8, 6, 3)
    assert game.action_names == ("0", "1", "2", "3")


def test_the_best_of_several_games_is_kept_and_random_actions_are_marked():
    scores = []
    game = recorded(5, 0.7, on_game=lambda number, each: scores.append(each.score))
    assert len(scores) == 5 and game.score == max(scores) > min(scores)
    greedy = [moment.is_greedy for moment in game.moments]
    assert 12 > sum(greedy) == game.score  # here only greedy actions score


def test_a_recording_can_be_stopped():
    assert recorded(stop=lambda: True) is None


def rows_with(frame, color):
    rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return np.flatnonzero((frame == rgb).all(axis=2).any(axis=1))


@pytest.mark.parametrize("scale", [1, 2])
def test_a_frame_shows_the_screen_and_marks_the_action(scale):
    game = recorded(1, 0.7)
    drawn = drawing.Drawing(game, scale)
    for index, moment in enumerate(game.moments):
        frame = drawn.frame(index)
        assert frame.shape == (drawn.size[1], drawn.size[0], 3)
        assert (frame[:, : 300 * scale] == 200).all()  # 8 x 6 pixels become 420 x 315
        used, other = drawing.CHOSEN, drawing.RANDOM
        if not moment.is_greedy:
            used, other = other, used
        rows = rows_with(frame[240 * scale :], used)
        height = 32 * scale  # of an action
        top = (8 + moment.action * 32) * scale
        assert len(rows) and top <= rows.min() and rows.max() < top + height
        assert not len(rows_with(frame[240 * scale :], other))


def test_a_frame_without_the_panel_is_the_screen_alone():
    drawn = drawing.Drawing(recorded(), 1, has_panel=False)
    assert drawn.size == (316, 420) and (drawn.frame(0) == 200).all()


def test_eighteen_actions_and_networks_without_streams_fit():
    q_values = np.zeros((1, 18), np.float32)
    screen = recording.Packed(np.zeros((210, 160, 3), np.uint8))
    seen = recording.Packed(np.full((84, 84, 4), 90, np.uint8))
    moment = recording.Moment(screen, seen, Outputs(q_values), 17, True, 0.0, 0.0)
    names = tuple("UPRIGHTFIRE" for _ in range(18))
    game = recording.Game((moment, moment), 0.0, "ALE/Seaquest", names, 0.0)
    frame = drawing.Drawing(game, 1).frame(0)
    assert rows_with(frame, drawing.CHOSEN).max() > 390  # the last row is drawn
    assert (frame[80:140, 340:400] == 90).all()  # what the network sees


def colors(count=20):
    """Frames that are easy to tell apart."""
    steps = np.linspace(0, 255, count).astype(np.uint8)
    return [np.full((48, 64, 3), (step, 255 - step, 90), np.uint8) for step in steps]


def test_an_mp4_has_all_frames_in_their_order(tmp_path):
    import imageio_ffmpeg

    path, frames = tmp_path / "a.mp4", colors()
    path.write_bytes(b"older")
    files.write_mp4(path, frames, (64, 48), 15.0)
    reader = imageio_ffmpeg.read_frames(str(path))
    about = next(reader)
    assert about["size"] == (64, 48) and about["fps"] == 15.0
    assert about["codec"] == "h264" and about["pix_fmt"].startswith("yuv420p")
    decoded = [np.frombuffer(data, np.uint8).reshape(48, 64, 3) for data in reader]
    assert len(decoded) == len(frames)
    for frame, expected in zip(decoded, frames, strict=True):
        assert np.abs(frame.astype(int) - expected).max() < 12
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]


def test_a_gif_has_all_frames_in_their_order_and_repeats(tmp_path):
    path, frames = tmp_path / "a.gif", colors()
    files.write_gif(path, frames, 15.0)
    with Image.open(path) as image:
        assert image.n_frames == len(frames) and image.info["loop"] == 0
        assert image.info["duration"] == 70  # of 1/15 s, in whole hundredths
        for number, expected in enumerate(frames):
            image.seek(number)
            frame = np.asarray(image.convert("RGB")).astype(int)
            assert np.abs(frame - expected).max() < 12


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_a_film_that_cannot_be_finished_leaves_the_older_one(name, tmp_path):
    class Interrupted(list):
        def __getitem__(self, index):
            raise InterruptedError

        def __iter__(self):
            yield from colors(2)
            raise InterruptedError

    path = tmp_path / name
    path.write_bytes(b"older")
    with pytest.raises(InterruptedError):
        if name == "a.mp4":
            files.write_mp4(path, Interrupted(colors()), (64, 48), 15.0)
        else:
            files.write_gif(path, Interrupted(colors()), 15.0)
    assert path.read_bytes() == b"older"
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_an_encoder_that_failed_is_an_error_and_the_older_film_stays(
    tmp_path, monkeypatch
):
    import imageio_ffmpeg

    def halved(unfinished):
        data = unfinished.read_bytes()
        unfinished.write_bytes(data[: len(data) // 2])

    count = imageio_ffmpeg.count_frames_and_secs

    def counted(path):
        halved(tmp_path / ".unfinished-a.mp4")
        return count(path)

    monkeypatch.setattr(imageio_ffmpeg, "count_frames_and_secs", counted)
    path = tmp_path / "a.mp4"
    path.write_bytes(b"older")
    with pytest.raises(OSError, match="the encoder failed"):
        files.write_mp4(path, colors(), (64, 48), 15.0)
    assert path.read_bytes() == b"older"
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]


def test_many_actions_fit():
    q_values = np.zeros((1, 40), np.float32)
    screen = recording.Packed(np.zeros((210, 160, 3), np.uint8))
    moment = recording.Moment(screen, screen, Outputs(q_values), 3, True, 0.0, 0.0)
    names = tuple(map(str, range(40)))
    game = recording.Game((moment,), 0.0, "Toy", names, 0.0)
    assert len(rows_with(drawing.Drawing(game, 1).frame(0), drawing.CHOSEN))
