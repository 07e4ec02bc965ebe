"""Stable-Baselines3's plain DQN, run by `loop.py` in its own environment.

Its own wrappers, network (`CnnPolicy`) and replay; one gradient step on 32
transitions for every 4 agent steps, as keras_dqn's preset has it.
"""

import argparse
import importlib.metadata
import time
import warnings

import children

EPSILON = 0.1  # that of `loop_ours.py`


class Loop:
    """A training run that is advanced on request."""

    def __init__(self, env, buffer_size, learning_starts=256):
        import ale_py  # registers the games
        import gymnasium
        from stable_baselines3 import DQN
        from stable_baselines3.common.env_util import make_atari_env
        from stable_baselines3.common.vec_env import VecFrameStack

        warnings.filterwarnings("ignore")
        gymnasium.register_envs(ale_py)
        envs = make_atari_env(f"{env}NoFrameskip-v4", n_envs=1, seed=0)
        self._learning_starts = learning_starts
        self._dqn = DQN(
            "CnnPolicy",
            VecFrameStack(envs, n_stack=4),
            learning_rate=1e-4,
            buffer_size=buffer_size,
            learning_starts=learning_starts,
            batch_size=32,
            gamma=0.99,
            train_freq=4,
            gradient_steps=1,
            target_update_interval=10_000,
            exploration_initial_eps=EPSILON,
            exploration_final_eps=EPSILON,
            max_grad_norm=10,
            seed=0,
        )

    def describe(self):
        names = ("stable-baselines3", "torch", "gymnasium", "ale-py", "numpy")
        return {name: importlib.metadata.version(name) for name in names} | {
            "device": str(self._dqn.device)
        }

    def fill(self, steps):
        """Plays until training has begun. A full buffer is no slower."""
        self.run(self._learning_starts + 64)
        return {}

    def run(self, steps):
        """Goes on for so many agent steps. Returns steps and seconds."""
        before = self._dqn.num_timesteps
        started = time.perf_counter()
        self._dqn.learn(steps, reset_num_timesteps=before == 0)
        seconds = time.perf_counter() - started
        return {"steps": self._dqn.num_timesteps - before, "seconds": seconds}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--env", default="Breakout")
    parser.add_argument("--buffer-size", type=int, default=2**14)
    arguments = parser.parse_args()
    loop = Loop(arguments.env, arguments.buffer_size)
    children.serve(describe=loop.describe, fill=loop.fill, run=loop.run)


if __name__ == "__main__":
    main()
