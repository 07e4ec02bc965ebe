"""Learns CartPole from a recorded dataset, without playing.

    pip install "minari[hdf5]"
    python examples/apps/offline.py

A rule with many random actions is recorded with Minari, in `$MINARI_DATASETS_PATH` or
`~/.minari/datasets`, and `keras_dqn.DQN` learns from it. An old dataset is used again.
"""

import argparse

import gymnasium
import keras
import minari
import numpy as np
from minari.data_collector import EpisodeBuffer

import keras_dqn

ENV_ID = "CartPole-v1"


def record(dataset_id, count):
    env, rng, episodes = gymnasium.make(ENV_ID), np.random.default_rng(0), []
    for seed in range(count):
        observation, _ = env.reset(seed=seed)
        observations, steps, is_over = [observation], [], False
        while not is_over:
            action = int(observation[2] + observation[3] > 0)  # the way the pole falls
            if rng.random() < 0.5:
                action = int(rng.integers(2))
            observation, reward, *ends, _ = env.step(action)
            observations.append(observation)
            steps.append((action, reward, *ends))  # terminated, truncated
            is_over = any(ends)
        columns = map(list, zip(*steps, strict=True))
        episodes.append(EpisodeBuffer(seed, seed, None, observations, *columns))
    minari.create_dataset_from_buffers(dataset_id, episodes, env, ref_min_score=0.0)


def transitions(dataset, gamma):
    episodes = list(dataset.iterate_episodes())

    def join(get, dtype):
        return np.concatenate([get(episode) for episode in episodes]).astype(dtype)

    return {
        "observations": join(lambda e: e.observations[:-1], "float32"),
        "actions": join(lambda e: e.actions, "int32"),
        "rewards": join(lambda e: e.rewards, "float32"),
        "discounts": gamma * (1.0 - join(lambda e: e.terminations, "float32")),
        "next_observations": join(lambda e: e.observations[1:], "float32"),
        "weights": join(lambda e: np.ones(len(e)), "float32"),
    }


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="cartpole/noisy-rule-v0")
    parser.add_argument("--episodes", type=int, default=200, help="to record")
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args(argv)
    if args.dataset not in minari.list_local_datasets():
        record(args.dataset, args.episodes)
    dataset = minari.load_dataset(args.dataset)
    network = keras_dqn.models.dueling_mlp(2, (4,), (128, 128), seed=0)
    model = keras_dqn.DQN(network, target_sync_updates=100)
    model.compile(keras.optimizers.Adam(1e-3, clipnorm=10.0))
    keras.utils.set_random_seed(0)
    model.fit(transitions(dataset, 0.95), batch_size=128, epochs=args.epochs, verbose=2)
    scores = [episode.rewards.sum() for episode in dataset.iterate_episodes()]
    result = keras_dqn.DQNAgent(network).evaluate(ENV_ID, episodes=20, epsilon=0.0)
    print(f"recorded: mean score {np.mean(scores):.1f} of {len(scores)} episodes")
    print(f"learned:  {result}")
    return np.mean(scores), result


if __name__ == "__main__":
    main()
