"""Plays whole games with a saved network, on any backend.

KERAS_BACKEND=jax python examples/evaluate.py runs/a/network.keras --env Breakout
"""

import argparse
import sys

import keras_dqn

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("network", help="path of a .keras file")
    parser.add_argument("--env", default="Breakout", help="environment to play")
    parser.add_argument(
        "--episodes", type=int, default=30, help="number of whole games"
    )
    parser.add_argument(
        "--epsilon", type=float, default=0.05, help="probability of a random action"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of games and actions")
    options = parser.parse_args()
    try:
        network = keras_dqn.load_network(options.network)
    except (OSError, ValueError, MemoryError) as error:
        sys.exit(f"{parser.prog}: {error}")
    agent = keras_dqn.DQNAgent(network)
    print(
        agent.evaluate(
            options.env,
            options.episodes,
            epsilon=options.epsilon,
            seed=options.seed,
        )
    )
