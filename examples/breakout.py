"""Trains a double, dueling, prioritized deep Q-network on Atari Breakout.

    KERAS_BACKEND=jax python examples/breakout.py --env-steps 1M --out runs/a
    KERAS_BACKEND=jax python examples/breakout.py --out runs/a --resume

Without flags it is the full run of 40 million agent steps, which takes days on
a CPU. `--help` lists every number that can be changed.
"""

import sys

from keras_dqn.cli import train

# Seconds on two cores, and every part of a real run takes part in it.
SMOKE = {
    "env_steps": 2_048,
    "replay_capacity": 1_024,
    "target_sync_env_steps": 512,
    "evaluation_episodes": 2,
    "evaluation_epsilon": 1.0,
}

if __name__ == "__main__":
    sys.exit(train.main(preset="breakout", prog="breakout.py", smoke=SMOKE))
