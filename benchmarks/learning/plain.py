"""A training program whose network is not dueling, for an ablation.

The head has one hidden layer, as in Mnih et al., 2015, twice as wide as a dueling
stream: about as many weights.
"""

import keras
from keras import layers

import keras_dqn
from keras_dqn.runs import parts


def train(run):
    """Trains like `keras-dqn train`, with the plain network. Takes a `Run`."""
    settings = run.settings
    options = keras_dqn.presets.env_options(settings)
    envs = keras_dqn.make_envs(settings.env_id, settings.num_envs, **options)
    dueling = parts.make_agent(settings, envs)
    network = plain_network(dueling.network, settings.seed)
    agent = keras_dqn.DQNAgent(network, dueling.replay)
    agent.compile(
        keras.optimizers.Adam(
            settings.learning_rate,
            epsilon=settings.adam_epsilon,
            clipnorm=settings.clipnorm,
        ),
        double_q=settings.double_q,
        huber_delta=settings.huber_delta,
        jit_compile=settings.jit_compile,
    )
    with run.training(agent, envs) as fit_options:
        agent.fit(envs, **fit_options)


def plain_network(dueling, seed):
    """Returns a network with the body of a dueling one and a plain head."""
    stream = dueling.get_layer("value_hidden")
    features, units = stream.input, 2 * stream.units
    orthogonal = keras.initializers.Orthogonal
    hidden = layers.Dense(
        units,
        activation="relu",
        kernel_initializer=orthogonal(2.0**0.5, seed=seed),
        name="hidden",
    )(features)
    q_values = layers.Dense(
        dueling.output_shape[-1],
        kernel_initializer=orthogonal(0.01, seed=seed + 1),
        name="q_values",
    )(hidden)
    return keras.Model(dueling.input, q_values, name="plain")
