"""A run longer than 32-bit counters, and than what float32 can count."""

import itertools
import json
import math

import numpy as np
import pytest

from keras_dqn import run_state
from keras_dqn.replay import PrioritizedReplay
from keras_dqn.replay import UniformReplay
from keras_dqn.schedules import PiecewiseSchedule
from tests.reference_replay import World
from tests.tape import make_run
from tests.tape import settings_of

pytestmark = pytest.mark.numpy


@pytest.mark.parametrize("steps", [2**24, 2**31, 2**32, 2**40])
def test_a_schedule_moves_with_every_step_however_many_there_were(steps):
    """In float32, 2**24 + 1 is 2**24."""
    schedule = PiecewiseSchedule(((0, 0.0), (2 * steps, 1.0)), outside_value=1.0)
    values = [schedule(steps + i) for i in range(-2, 3)]
    assert values == sorted(set(values))
    assert schedule(steps) == 0.5


@pytest.mark.parametrize("start", [2**24, 2**31 - 2, 2**32 - 2])
def test_a_run_counts_on_beyond_32_bits(start):
    each = 4
    settings = settings_of(
        env_steps=(start + 5) * each,
        epsilon_endpoints=((0, 1.0), ((start + 5) * each, 0.5)),
    )
    run = make_run(settings)
    run.state.iteration = start
    run.state.updates = 2 * start
    records = list(run.records)
    assert [record.env_steps for record in records] == [
        each * (start + i) for i in range(5)
    ]
    assert records[-1].updates == 2 * start + 2 * sum(r.is_training for r in records)
    epsilons = [record.epsilon for record in records]
    assert epsilons == sorted(set(epsilons), reverse=True)
    assert run.state.iteration == start + 5
    other = run_state.RunState.from_seed(0)
    other.load_meta(json.loads(json.dumps(run.state.to_meta())))
    assert other.to_meta() == run.state.to_meta()


def turns(replay, steps):
    """The steps, at most so many, after which both rings are where they are now."""
    ring = replay._store.ring
    each = math.lcm(ring.steps, ring.columns)
    return steps // each * each


def lived(replay_class, shift=0):
    """A replay after 9 steps, its clock put forward by `shift` steps."""
    world = World(num_envs=2, frame_stack=4)
    replay = replay_class(12, n_steps=2)
    replay.build(**world.spec)
    replay.start(world.reset())
    for number in range(9):
        replay.add([number, 0], world.step(rewards=[1, 2]))
    if shift:
        state = {name: np.array(value) for name, value in replay.state_dict().items()}
        state["time"] = np.array(int(state["time"]) + shift)
        shifted = replay_class(12, n_steps=2)
        shifted.build(**world.spec)
        shifted.load_state_dict(state)
        replay = shifted
    return replay, world


@pytest.mark.parametrize("replay_class", [PrioritizedReplay, UniformReplay])
@pytest.mark.parametrize("steps", [2**31, 2**32])
def test_a_replay_goes_on_beyond_32_bits(replay_class, steps):
    young = lived(replay_class)
    shift = turns(young[0], steps - 9)
    old = lived(replay_class, shift)
    for number in itertools.count():
        samples = []
        for replay, world in (young, old):
            replay.add([number, 1], world.step(rewards=[number, 3]))
            samples.append(replay.sample(16, np.random.default_rng(number)))
            replay.update_priorities(samples[-1].ids, np.arange(16.0))
            replay.check_valid()
        for name, array in samples[0].batch.items():
            np.testing.assert_array_equal(samples[1].batch[name], array, name)
        np.testing.assert_array_equal(samples[1].ids - 2 * shift, samples[0].ids)
        if samples[1].ids.min() > 2 * steps:
            break
        assert number < 200
