"""A run of the loop with parts that write down what they are asked for."""

import types

import numpy as np

from keras_dqn import training
from keras_dqn.config import Settings
from keras_dqn.envs import make_envs
from keras_dqn.replay import PrioritizedReplay
from keras_dqn.run_state import RunState
from tests.toys import CountingEnv


class TapeLearner:
    """Stands in for a learner: writes down each call and returns constants."""

    learning_rate = 0.125

    def __init__(self, num_actions, tape=None):
        self.num_actions = num_actions
        self.tape = [] if tape is None else tape
        self.batches = []

    def q_values(self, observations):
        self.tape.append("act")
        return np.zeros((len(observations), self.num_actions), np.float32)

    def update(self, batch):
        self.tape.append("update")
        self.batches.append(batch)
        return self._found(batch["actions"].shape, ())

    def update_many(self, batches):
        shape = batches["actions"].shape
        self.tape.append(f"update x {shape[0]}")
        return self._found(shape, shape[:1])

    def sync_target(self):
        self.tape.append("sync")

    def _found(self, shape, loss_shape):
        q_values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        return types.SimpleNamespace(
            loss=np.full(loss_shape, 0.5, np.float32),
            priorities=np.full(shape, 2.0, np.float32),
            td_errors=np.full(shape, -2.0, np.float32),
            q_values=q_values,
            gradient_norm=np.full(loss_shape, 3.0, np.float32),
        )


class TapeEnvs:
    """Passes everything on to environments, and writes it down."""

    def __init__(self, envs, tape):
        self._envs, self._tape = envs, tape

    def __getattr__(self, name):
        return getattr(self._envs, name)

    def reset(self, seed):
        self._tape.append("reset")
        return self._envs.reset(seed)

    def send(self, actions):
        self._tape.append("send")
        self._envs.send(actions)

    def recv(self):
        self._tape.append("recv")
        return self._envs.recv()


def settings_of(**changes):
    values = {
        "num_envs": 2,
        "vector_steps_per_iteration": 2,
        "replay_capacity": 16,
        "batch_size": 4,
        "updates_per_iteration": 2,
        "target_sync_env_steps": 12,
        "env_steps": 40,
        "epsilon_endpoints": ((0, 1.0), (40, 0.5)),
        "epsilon_final": 0.5,
        "beta_endpoints": ((0, 0.4), (40, 1.0)),
        "histogram_interval_iterations": 1_000,
        "checkpoint_interval_iterations": 1_000,
    }
    return Settings.from_dict({**values, **changes})


def make_run(settings, env=CountingEnv, learner=TapeLearner):
    tape = []
    envs = TapeEnvs(make_envs(env, settings.num_envs), tape)
    replay = PrioritizedReplay(settings.replay_capacity, alpha=settings.alpha)
    replay.build(
        num_envs=envs.num_envs,
        stored_shape=envs.stored_shape,
        dtype=envs.observation_dtype,
    )
    state = RunState.from_seed(settings.seed)
    learner = learner(envs.num_actions, tape)
    records = training.run(learner, replay, envs, settings, state)
    return types.SimpleNamespace(**locals())
