"""Balances the pole of CartPole-v1: minutes on two cores.

    KERAS_BACKEND=torch python examples/cartpole.py

It ends with 100 evaluation episodes; a mean of 475 is the customary mark.
"""

import sys

from keras_dqn.cli import train

SMOKE = {
    "env_steps": 2_048,
    "evaluation_episodes": 4,
    "evaluation_interval_iterations": 4,
}

if __name__ == "__main__":
    sys.exit(train.main(preset="cartpole", prog="cartpole.py", smoke=SMOKE))
