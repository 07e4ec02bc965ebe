"""Trains a double, dueling, prioritized deep Q-network on Atari Breakout.

    KERAS_BACKEND=jax python examples/breakout.py --env-steps 1M --out runs/a

The default, 40 million agent steps, takes days on a CPU. `--help` lists all settings.
"""

import sys

import keras_dqn
from keras_dqn.cli.train import main


def train(run):
    s = run.settings
    envs = keras_dqn.make_envs(s.env_id, s.num_envs, **keras_dqn.presets.env_options(s))
    network = keras_dqn.models.for_settings(s, envs.num_actions, envs.observation_shape)
    replay = keras_dqn.PrioritizedReplay(
        s.replay_capacity,
        alpha=s.alpha,
        priority_epsilon=s.priority_epsilon,
        gamma=s.gamma,
        n_steps=s.n_steps,
    )
    agent = keras_dqn.DQNAgent(network, replay)
    agent.compile_for(s)  # optimizer, loss and targets
    with run.training(agent, envs) as options:  # resumes, logs and saves
        agent.fit(envs, **options)
    run.evaluate()


if __name__ == "__main__":
    sys.exit(main(train, preset="breakout"))
