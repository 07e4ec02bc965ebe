"""Makes environments, network, replay and agent from `Settings`."""

import keras

from keras_dqn import models
from keras_dqn.agent import DQNAgent
from keras_dqn.envs import is_atari
from keras_dqn.envs import make_envs
from keras_dqn.envs import make_evaluation_envs
from keras_dqn.replay import PrioritizedReplay
from keras_dqn.replay import UniformReplay

ATARI_FIELDS = (
    "repeat_action_probability",
    "life_loss",
    "noop_max",
    "clip_rewards",
    "frame_skip",
    "max_episode_frames",
    "full_action_space",
    "fire_reset",
)


def make_agent(settings, envs):
    """Returns a compiled `DQNAgent` as the settings describe it."""
    if settings.replay_kind == "prioritized":
        replay = PrioritizedReplay(
            settings.replay_capacity,
            alpha=settings.alpha,
            priority_epsilon=settings.priority_epsilon,
            gamma=settings.gamma,
            n_steps=settings.n_steps,
        )
    else:
        replay = UniformReplay(
            settings.replay_capacity, gamma=settings.gamma, n_steps=settings.n_steps
        )
    agent = DQNAgent(make_network(settings, envs), replay)
    optimizer = keras.optimizers.Adam(
        settings.learning_rate,
        epsilon=settings.adam_epsilon,
        clipnorm=settings.clipnorm,
    )
    agent.compile(
        optimizer,
        double_q=settings.double_q,
        huber_delta=settings.huber_delta,
        jit_compile={"yes": True, "no": False}.get(settings.jit_compile, "auto"),
    )
    return agent


def make_network(settings, envs):
    """Returns a dueling network for frames or for vectors, of the set precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(settings.dtype_policy)
    try:
        if len(envs.observation_shape) == 3:
            return models.dueling_cnn(
                envs.num_actions,
                envs.observation_shape,
                settings.hidden_units,
                seed=settings.seed,
            )
        return models.dueling_mlp(
            envs.num_actions,
            envs.observation_shape,
            (settings.hidden_units, settings.hidden_units),
            seed=settings.seed,
        )
    finally:
        keras.config.set_dtype_policy(before)


def make_training_envs(settings):
    """Makes the environments, and refuses Atari's settings for any other."""
    atari = {name: getattr(settings, name) for name in ATARI_FIELDS}
    if is_atari(settings.env_id):
        return make_envs(settings.env_id, settings.num_envs, **atari)
    defaults = type(settings)()
    for name, value in atari.items():
        if value != getattr(defaults, name):
            raise ValueError(
                f"`{name}` is an option of Atari games only. Received: "
                f"env_id={settings.env_id!r}, {name}={value!r}"
            )
    envs = make_envs(settings.env_id, settings.num_envs)
    try:  # Refuse now, not after hours, an id that makes no second environment.
        make_evaluation_envs(envs).close()
    except BaseException:
        envs.close()
        raise
    return envs
