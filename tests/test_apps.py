"""The programs in `examples/apps/`, each on a small scale."""

import contextlib
import dataclasses
import http.client
import importlib
import json
import pathlib
import re
import sys
import threading

import gymnasium
import minari
import numpy as np
import optuna
import pytest

import keras_dqn
from keras_dqn.algorithms import dqn
from keras_dqn.evaluation import Evaluation
from tests import runs
from tests import tiny

ROOT = pathlib.Path(__file__).parents[1]
APPS = ROOT / "examples" / "apps"
PROGRAMS = sorted(APPS.rglob("*.py"))


@pytest.fixture
def program(monkeypatch):
    """Imports a program as Python runs it: with its folder on the path."""

    def load(name):
        path = ROOT / "examples" / name
        monkeypatch.syspath_prepend(str(path.parent))
        monkeypatch.delitem(sys.modules, path.stem, raising=False)
        return importlib.import_module(path.stem)

    return load


@contextlib.contextmanager
def serving(server):
    """Serves in a thread; yields a function that asks."""

    def ask(method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(*server.server_address, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield ask
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_has_less_than_80_lines_and_says_how_it_is_run(path):
    text = path.read_text()
    assert len(text.splitlines()) < 80
    assert f"python {path.relative_to(ROOT)}" in text
    listed = (APPS / "README.md").read_text()
    assert f"python {path.relative_to(ROOT)}" in listed


def test_the_game_loop_sees_what_the_network_was_trained_on(program):
    game = program("apps/game_loop.py").Game(seed=0, most_noops=0)
    with keras_dqn.make_envs("Breakout", noop_max=1, life_loss="ignore") as envs:
        rng, seen, is_over = np.random.default_rng(0), game.reset(), False
        expected, score = envs.reset(seed=0), 0.0
        while not is_over:
            stack = expected[0].transpose(1, 2, 0).astype(int)
            assert np.abs(seen.astype(int) - stack).max() <= 1  # they round otherwise
            action = int(rng.integers(4))
            seen, is_over = game.step(action)
            step = envs.step([action])
            expected, score = step.observations, score + step.rewards[0]
            assert is_over == step.restarted[0]
            assert game.score == score


def test_the_game_loop_plays(program, capsys):
    program("apps/game_loop.py").main(["--env-steps", "150", "--epsilon", "0"])
    found = re.fullmatch(r"step 150: stopped, score (\d+)\n", capsys.readouterr().out)
    assert int(found[1]) >= 3  # without the right observations it misses the ball


def test_the_features_tell_more_than_a_constant_guess(program):
    flags = ["--frames", "600", "--epochs", "5"]
    errors, guesses = program("apps/feature_extractor.py").main(flags)
    assert errors.shape == (3,)
    assert (errors < guesses * 0.8).all()


def test_offline_training_reads_what_was_recorded(program, tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    offline, name = program("apps/offline.py"), "cartpole/test-v0"
    spec = gymnasium.spec("CartPole-v1")
    gymnasium.register("Short-v0", spec.entry_point, max_episode_steps=40)
    monkeypatch.setattr(offline, "ENV_ID", "Short-v0")
    flags = ["--dataset", name, "--episodes", "20", "--epochs", "1"]
    recorded, result = offline.main(flags)
    assert result.scores.size == 20
    dataset = minari.load_dataset(name)
    episodes = list(dataset.iterate_episodes())
    assert dataset.env_spec.id == "Short-v0"
    assert dataset.total_episodes == 20
    assert recorded == dataset.total_steps / 20
    lasts = {(bool(e.terminations[-1]), bool(e.truncations[-1])) for e in episodes}
    assert {(True, False), (False, True)} <= lasts  # both are there

    batch, begin = offline.transitions(dataset, gamma=0.9), 0
    assert set(batch) == {*dqn.BATCH_KEYS}
    assert all(len(values) == dataset.total_steps for values in batch.values())
    for episode in episodes:
        part = slice(begin, begin := begin + len(episode))
        for key, expected in (
            ("observations", episode.observations[:-1]),
            ("next_observations", episode.observations[1:]),
            ("actions", episode.actions),
            ("discounts", np.where(episode.terminations, 0, np.float32(0.9))),
        ):
            np.testing.assert_array_equal(batch[key][part], expected)

    again, _ = offline.main([*flags[:2], "--epochs", "0"])
    assert again == recorded  # nothing was recorded a second time


@pytest.mark.slow
def test_tuning_finds_settings_and_prunes(program, tmp_path, monkeypatch):
    tuning = program("apps/tuning.py")
    scores = iter([1, 2, 3, 4, 5] * 3 + [0])  # of three trials, then of a poor one

    def evaluate(agent, *arguments, **options):
        score = np.float64([next(scores)])
        if score != 5:  # plays really, but not each time
            return Evaluation(score, np.int64([1]), 0.0, "CartPole-v1")
        result = played(agent, *arguments, **options)
        assert result.scores.size == 5
        return dataclasses.replace(result, scores=score)

    played = keras_dqn.DQNAgent.evaluate
    monkeypatch.setattr(keras_dqn.DQNAgent, "evaluate", evaluate)
    storage = f"sqlite:///{tmp_path / 'trials.db'}"
    flags = ["--env-steps", "1280", "--storage", storage]
    study = tuning.main(["--trials", "3", *flags])
    assert [trial.value for trial in study.trials] == [5, 5, 5]
    study = tuning.main(["--trials", "1", *flags])
    assert study.trials[3].state == optuna.trial.TrialState.PRUNED
    assert study.trials[3].intermediate_values == {1: 0}
    assert next(scores, None) is None


def saved(folder):
    """Saves a network; returns it and its path."""
    network = tiny.network()
    network.save(folder / "network.keras")
    return network, folder / "network.keras"


def test_the_server_answers_as_the_network(program, tmp_path):
    network, path = saved(tmp_path)
    observations = np.random.default_rng(0).normal(size=(3, tiny.FEATURES))
    observations = observations.astype("float32")
    expected = tiny.q_values_of(network, observations)
    shape = {"X-Shape": f"3,{tiny.FEATURES}"}
    as_json = json.dumps({"observations": observations.tolist()})
    with serving(program("apps/server.py").make_server(path, 0)) as ask:
        status, _, text = ask("GET", "/")
        assert status == 200
        assert json.loads(text) == {"shape": [tiny.FEATURES], "dtype": "float32"}
        for body, headers in ((as_json, {}), (observations.tobytes(), shape)):
            status, _, text = ask("POST", "/", body, headers)
            assert status == 200
            answer = json.loads(text)
            np.testing.assert_allclose(answer["q_values"], expected, atol=1e-5)
            assert answer["actions"] == expected.argmax(axis=1).tolist()
        one = json.dumps({"observations": observations[0].tolist()})
        answer = json.loads(ask("POST", "/", one)[2])
        assert answer["actions"] == expected[0].argmax()


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ("", {}),
        ("no JSON", {}),
        (b"\xff\xfe", {}),
        ("[" * 100_000, {}),
        ("[]", {}),
        ("{}", {}),
        ('{"observations": null}', {}),
        ('{"observations": "text"}', {}),
        ('{"observations": []}', {}),
        ('{"observations": [[1, 2], [3]]}', {}),
        ('{"observations": [[1, 2]]}', {}),
        (json.dumps({"observations": [[0.0] * tiny.FEATURES] * 65}), {}),
        (json.dumps({"observations": [[float("nan")] * tiny.FEATURES]}), {}),
        (json.dumps({"observations": [["1.0"] * tiny.FEATURES]}), {}),
        ("12345678", {"X-Shape": "1,3"}),
        ("12345678", {"X-Shape": "two"}),
        ("{}", {"Content-Length": "many"}),
        ("{}", {"Content-Length": "-1"}),
        ("{}", {"Content-Length": str(2**40)}),
    ],
)
def test_the_server_refuses_bad_input_and_goes_on(program, body, headers, tmp_path):
    server = program("apps/server.py").make_server(saved(tmp_path)[1], 0)
    with serving(server) as ask:
        status, _, text = ask("POST", "/", body, headers)
        assert status == 400
        assert json.loads(text)["error"]
        assert ask("GET", "/")[0] == 200


def test_the_page_gets_files_observations_and_screens(program):
    serve = program("apps/web/serve.py")
    with serving(serve.make_server(0)) as ask:
        assert ask("GET", "/")[2] == (APPS / "web" / "index.html").read_bytes()
        status, headers, body = ask("POST", "/reset")
        assert (status, headers["X-Lives"], headers["X-Score"]) == (200, "5", "0")
        for _ in range(20):
            status, headers, body = ask("POST", "/step?action=1")
        pixels = np.frombuffer(body, np.uint8)
        observation, screen = np.split(pixels, [84 * 84 * 4])
        game = serve.Handler.game
        assert np.array_equal(observation.reshape(84, 84, 4)[..., -1], game.frames[-1])
        assert np.array_equal(screen.reshape(210, 160, 3), game.ale.getScreenRGB())
        assert screen.reshape(210, 160, 3).std(axis=-1).max() > 0  # in color
        for path in ("/step?action=4", "/step", "/else"):
            assert ask("POST", path)[0] == 400


def test_the_environment_of_your_own_can_be_trained_by_program_and_command(
    program, tmp_path
):
    module = program("your_own_env.py")
    env = gymnasium.make("Catch-v0")
    observation, _ = env.reset(seed=0)
    score, is_over = 0.0, False
    while not is_over:  # follows the ball: catches all that it can reach
        bar = int(observation[7].argmax())
        balls = np.argwhere(observation[:7])
        column = int(balls[0][1]) if len(balls) else bar
        observation, reward, is_over, _, _ = env.step(1 + np.sign(column - bar))
        score += reward
    assert score == 10
    assert len((ROOT / "examples/your_own_env.py").read_text().splitlines()) <= 40
    agent = keras_dqn.DQNAgent(keras_dqn.models.dueling_mlp(3, (8, 5)))
    agent.compile("adam")
    settings = keras_dqn.presets.cartpole(env_steps=1_280)
    assert agent.fit(module.Catch, settings=settings, monitors=None).updates > 0
    flags = "--preset cartpole --env your_own_env:Catch-v0 --smoke --console none"
    assert runs.command("train", *flags.split(), "--out", tmp_path / "run") == 0
