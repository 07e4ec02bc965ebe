"""The replay against one that keeps everything, through random lives."""

import hypothesis
import numpy as np
import pytest
from hypothesis import stateful
from hypothesis import strategies as st

from keras_dqn.replay import PrioritizedReplay
from keras_dqn.replay import UniformReplay
from tests.reference_replay import NaiveReplay
from tests.reference_replay import World
from tests.reference_replay import check_batch

pytestmark = pytest.mark.numpy

ALPHA, PRIORITY_EPSILON, GAMMA = 0.6, 1e-3, 0.9


class ReplayMachine(stateful.RuleBasedStateMachine):
    @stateful.initialize(
        is_prioritized=st.booleans(),
        num_envs=st.integers(1, 3),
        spare_steps=st.integers(1, 7),
        frame_stack=st.sampled_from([0, 1, 2, 4]),
        n_steps=st.integers(1, 3),
    )
    def make(self, is_prioritized, num_envs, spare_steps, frame_stack, n_steps):
        self.is_prioritized = is_prioritized
        self.capacity = num_envs * (n_steps + spare_steps)
        self.n_steps = n_steps
        self.world = World(num_envs, frame_stack)
        self.replay = self.new_replay()
        self.naive = NaiveReplay(self.capacity, num_envs, GAMMA, n_steps)
        self.max_priority = 1.0
        self.leaves = {}
        self.actions = 0
        self.cut()

    def new_replay(self):
        options = {"gamma": GAMMA, "n_steps": self.n_steps}
        if self.is_prioritized:
            options |= {"alpha": ALPHA, "priority_epsilon": PRIORITY_EPSILON}
        replay_class = PrioritizedReplay if self.is_prioritized else UniformReplay
        replay = replay_class(self.capacity, **options)
        replay.build(**self.world.spec)
        return replay

    @stateful.rule()
    def cut(self):
        observations = self.world.reset()
        self.replay.start(observations)
        self.naive.start(observations)

    @stateful.rule(data=st.data(), steps=st.integers(1, 6))
    def run(self, data, steps):
        ends = st.sampled_from(["", "", "", "terminal", "life", "limit", "both"])
        for _ in range(steps):
            how = [data.draw(ends) for _ in range(self.world.num_envs)]
            rewards = [data.draw(st.integers(-3, 3)) for _ in how]
            envs = range(len(how))
            step = self.world.step(
                terminated=[e for e in envs if how[e] in ("terminal", "life", "both")],
                truncated=[e for e in envs if how[e] in ("limit", "both")],
                restarted=[e for e in envs if how[e] in ("terminal", "limit", "both")],
                rewards=rewards,
            )
            actions = self.actions + np.arange(len(how))
            self.actions += len(how)
            self.replay.add(actions, step)
            self.naive.add(actions, step)
            newly_complete = self.naive.complete()[-len(how) :]
            for number in newly_complete if len(newly_complete) else ():
                self.leaves[number] = self.max_priority**ALPHA

    @stateful.rule(seed=st.integers(0, 2**32), beta=st.sampled_from([0.0, 0.5, 1.0]))
    def sample(self, seed, beta):
        rng = np.random.default_rng(seed)
        complete = self.naive.complete()
        if len(complete) == 0:
            with pytest.raises(ValueError, match="nothing to sample"):
                self.replay.sample(1, rng)
            return
        sample = self.replay.sample(60, rng, beta=beta)
        assert set(sample.ids.tolist()) <= set(complete)
        check_batch(sample.batch, sample.ids, self.naive)
        weights = np.ones(60)
        if self.is_prioritized:
            smallest = min(self.leaves[number] for number in complete)
            drawn = [self.leaves[number] for number in sample.ids.tolist()]
            weights = (smallest / np.array(drawn)) ** beta
        np.testing.assert_allclose(sample.batch["weights"], weights, rtol=1e-6)

    @stateful.rule(data=st.data())
    def learn(self, data):
        """Of any transition there ever was, so that some are overwritten."""
        complete = self.naive.complete()
        if complete.stop <= 0 or not self.is_prioritized:
            return
        ids = data.draw(st.lists(st.integers(0, complete.stop - 1), max_size=20))
        td_errors = data.draw(
            st.lists(st.floats(-100, 100), min_size=len(ids), max_size=len(ids))
        )
        self.replay.update_priorities(np.array(ids, np.int64), np.array(td_errors))
        for number, td_error in zip(ids, td_errors, strict=True):
            if number in complete:
                priority = abs(td_error) + PRIORITY_EPSILON
                self.max_priority = max(self.max_priority, priority)
                self.leaves[number] = priority**ALPHA

    @stateful.rule(is_fresh=st.booleans())
    def save_and_load(self, is_fresh):
        """Into a new replay, or over one that has lived another life."""
        state = {name: value.copy() for name, value in self.replay.state_dict().items()}
        loaded = self.new_replay()
        if not is_fresh:
            other = World(self.world.num_envs, self.world.frame_stack)
            loaded.start(other.reset())
            for _ in range(2 * self.capacity):
                loaded.add(np.zeros(other.num_envs, int), other.end(0))
        loaded.load_state_dict(state)
        for name, value in loaded.state_dict().items():
            np.testing.assert_array_equal(value, state[name], name)
        self.replay = loaded

    @stateful.invariant()
    def is_consistent(self):
        if hasattr(self, "replay"):
            self.replay.check_valid()
            added = len(self.naive.where)
            assert self.replay.size == min(added, self.capacity)
            assert self.replay.is_full == (added >= self.capacity)


ReplayMachine.TestCase.settings = hypothesis.settings(
    max_examples=60, stateful_step_count=20, deadline=None
)
TestTheReplayAgreesWithTheNaiveOne = ReplayMachine.TestCase
