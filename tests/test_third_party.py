"""Tasks of other packages and of Gymnasium: made, and played at random."""

import gymnasium
import numpy as np
import pytest

from keras_dqn.envs import GymnasiumEnvs
from keras_dqn.envs import as_envs
from keras_dqn.envs import make_envs
from tests import tasks
from tests import valid_steps
from tests.documents import PAGES
from tests.toys import assert_same_games
from tests.toys import play

pytestmark = pytest.mark.numpy

(TAXI,) = (name for name in gymnasium.registry if name.startswith("Taxi-"))
# The task, shape and dtype of its observations, its number of actions, and whether
# 300 random steps end episodes.
TASKS = [
    (tasks.grid_images, (7, 7, 3), "uint8", 7, True),
    (tasks.grid_vectors, (2_835,), "uint8", 7, True),
    (tasks.grid_parts, (151,), "float32", 7, True),
    ("MinAtar/Asterix-v1", (10, 10, 4), "float32", 5, True),
    ("MinAtar/Breakout-v1", (10, 10, 4), "float32", 3, True),
    ("MinAtar/Freeway-v1", (10, 10, 7), "float32", 3, False),
    ("MinAtar/Seaquest-v1", (10, 10, 10), "float32", 6, True),
    ("MinAtar/SpaceInvaders-v1", (10, 10, 6), "float32", 4, True),
    ("LunarLander-v3", (8,), "float32", 4, True),
    ("Acrobot-v1", (6,), "float32", 3, False),
    ("MountainCar-v0", (2,), "float32", 3, True),
    (TAXI, (500,), "float32", 6, True),  # `Discrete`, as the next two
    ("FrozenLake-v1", (16,), "float32", 4, True),
    ("CliffWalking-v1", (48,), "float32", 4, False),
    ("Blackjack-v1", (45,), "float32", 2, True),  # a `Tuple` of three
]
IDS = [getattr(task, "__name__", task) for task, *_ in TASKS]


@pytest.mark.parametrize(("task", "shape", "dtype", "actions", "ends"), TASKS, ids=IDS)
def test_a_task_is_made_and_played(task, shape, dtype, actions, ends):
    with make_envs(task, num_envs=2, seed=0) as envs:
        assert isinstance(envs, GymnasiumEnvs)
        assert envs.stored_shape == envs.observation_shape == shape
        assert envs.observation_dtype == np.dtype(dtype)
        assert envs.num_actions == actions
        episodes, different = valid_steps.play(envs, steps=300)
    assert different >= 5
    assert bool(episodes) == ends


@pytest.mark.parametrize("task", [task for task, *_ in TASKS], ids=IDS)
def test_equal_seeds_play_equal_games(task):
    games = []
    for seed in (0, 0, 1):
        with make_envs(task, num_envs=2) as envs:
            games.append(play(envs, 100, reset_seed=seed))
    assert_same_games(*games[:2])
    if task != "CliffWalking-v1":  # which has no chance
        with pytest.raises(AssertionError):
            assert_same_games(games[0], games[2])


@pytest.mark.parametrize(
    "make",
    [
        tasks.grid_images,
        tasks.grid_parts,
        lambda: gymnasium.make("MinAtar/Breakout-v1"),
        lambda: gymnasium.make("LunarLander-v3"),
    ],
)
def test_an_environment_of_a_package_is_copied(make):
    """With its wrappers, also those that no `spec` records."""
    env = make()
    with as_envs(env, 2) as envs, make_envs(make, 2) as made:
        assert_same_games(play(envs, 50), play(made, 50))


@pytest.mark.parametrize("task", ["MinAtar/Breakout-v1", "LunarLander-v3"])
def test_a_vector_environment_of_a_package_is_taken(task):
    vector = gymnasium.make_vec(task, 2)
    with as_envs(vector) as envs, make_envs(task, 2) as made:
        assert_same_games(play(envs, 50), play(made, 50))
    vector.close()


@pytest.mark.parametrize(
    "env", [tasks.GRID, f"minigrid:{tasks.GRID}", lambda: gymnasium.make(tasks.GRID)]
)
def test_a_mission_in_words_is_refused_with_a_wrapper_that_leaves_it_out(env):
    advice = r"`mission` .*FilterObservation\(MyEnv\(\), \['direction', 'image'\]\)"
    with pytest.raises(ValueError, match=advice) as error:
        make_envs(env)
    assert f"{tasks.GRID} with observation_space=Dict" in str(error.value)


@pytest.mark.parametrize("env", ["LunarLanderContinuous-v3", "Pendulum-v1"])
def test_continuous_actions_are_refused_with_a_wrapper_that_helps(env):
    with pytest.raises(ValueError, match="`Discrete`.*TransformAction"):
        make_envs(env)


def test_the_table_of_tasks_says_how_they_are_made():
    """Each expression of the table of docs/environment.md makes environments."""
    names = {"gymnasium": gymnasium, "make_envs": make_envs}
    (_, table) = PAGES["docs/environment.md"].split("<!-- test: tasks -->\n")
    rows = table.split("\n\n")[0].splitlines()[2:]
    assert len(rows) >= 5
    for row in rows:
        code = row.split("|")[3].strip().strip("`")
        *lines, last = code.split("; ")
        exec("\n".join(lines), names)
        with eval(last, names) as envs:
            valid_steps.play(envs, steps=5)
