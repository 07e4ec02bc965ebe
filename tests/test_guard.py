"""An agent learns the Q-values of a task that is solved on paper.

The guard must fail for each of the faults that DQN programs have had: each is planted
here, and the same check then raises.
"""

import numpy as np
import pytest

from keras_dqn import training
from keras_dqn.algorithms import dqn
from keras_dqn.backend import Learner
from keras_dqn.replay import PrioritizedReplay
from keras_dqn.replay.frames import FrameRing
from keras_dqn.replay.storage import TransitionStore
from tests import guard


def test_an_agent_learns_the_q_values_that_are_known():
    agent = guard.trained()
    print(guard.q_values_of(agent), guard.draws_by_error(agent))
    guard.check(agent)


def wrong_sign(patch):
    losses = dqn.Scalar.losses
    patch.setattr(dqn.Scalar, "losses", lambda self, q, t: losses(self, q, -t))


def no_sync(patch):
    patch.setattr(Learner, "sync_target", lambda self: None)


def bootstrapped_terminal(patch):
    batch = TransitionStore.batch

    def wrong(self, *arguments):
        found = batch(self, *arguments)
        return {**found, "discounts": np.full_like(found["discounts"], guard.GAMMA)}

    patch.setattr(TransitionStore, "batch", wrong)


def stacks_out_of_order(patch):
    gather = FrameRing.gather

    def wrong(self, *arguments):
        return gather(self, *arguments)[:, ::-1]

    patch.setattr(FrameRing, "gather", wrong)


def weights_ignored(patch):
    mean = dqn.weighted_mean
    patch.setattr(dqn, "weighted_mean", lambda x, weights: mean(x, weights * 0 + 1))


def actions_shifted(patch):
    add = PrioritizedReplay.add

    def wrong(self, actions, step):
        add(self, np.roll(actions, 1), step)

    patch.setattr(PrioritizedReplay, "add", wrong)


def priorities_not_written(patch):
    patch.setattr(PrioritizedReplay, "update_priorities", lambda *arguments: None)


def next_observation_is_the_observation(patch):
    stacks = TransitionStore._stacks

    def wrong(self, *arguments):
        observations, _ = stacks(self, *arguments)
        return observations, observations

    patch.setattr(TransitionStore, "_stacks", wrong)


def always_greedy(patch):
    epsilon_greedy = training.epsilon_greedy
    patch.setattr(
        training, "epsilon_greedy", lambda q, e, rng: epsilon_greedy(q, 0, rng)
    )


FAULTS = (
    wrong_sign,
    no_sync,
    bootstrapped_terminal,
    stacks_out_of_order,
    weights_ignored,
    actions_shifted,
    priorities_not_written,
)


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_the_guard_finds_a_planted_fault(plant, monkeypatch):
    plant(monkeypatch)
    agent = guard.trained()
    with pytest.raises(AssertionError) as found:
        guard.check(agent)
    print(found.value)
