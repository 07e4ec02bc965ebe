"""Agents of every distribution and backup: they learn, act, save and go on."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

import keras_dqn
import keras_dqn.config
from keras_dqn.algorithms import arguments
from keras_dqn.algorithms.backups import Munchausen
from keras_dqn.algorithms.categorical import Categorical
from keras_dqn.algorithms.distributions import Scalar
from keras_dqn.algorithms.dqn import DQN
from keras_dqn.algorithms.quantiles import Quantiles
from keras_dqn.backend import Learner
from tests.toys import EchoEnv

DISTRIBUTIONS = {
    "scalar": lambda: Scalar(),
    "categorical": lambda: Categorical(11, -2.0, 18.0),
    "quantiles": lambda: Quantiles(8),
}
SIZES = {"scalar": None, "categorical": 11, "quantiles": 8}
BACKUPS = ("greedy", "double", "munchausen")
PAIRS = list(itertools.product(DISTRIBUTIONS, BACKUPS))
FIT = {
    "env_steps": 128,
    "learning_starts_env_steps": 32,
    "batch_size": 8,
    "monitors": None,
    "seed": 3,
}


def make_agent(name, backup="double", **options):
    network = keras_dqn.models.q_network(
        4,
        (4,),
        body="mlp",
        hidden_units=32,
        outputs_per_action=SIZES[name],
        seed=1,
        **options,
    )
    agent = keras_dqn.DQNAgent(network, keras_dqn.PrioritizedReplay(4_096))
    optimizer = keras.optimizers.Adam(3e-3)
    agent.compile(optimizer, distribution=DISTRIBUTIONS[name](), backup=backup)
    return agent


def batch_of(count=6):
    rng = np.random.default_rng(0)
    return {
        "observations": rng.normal(size=(count, 4)).astype("float32"),
        "actions": rng.integers(4, size=count).astype("int32"),
        "rewards": rng.normal(size=count).astype("float32"),
        "discounts": np.float32([0.9] * (count - 1) + [0.0]),
        "next_observations": rng.normal(size=(count, 4)).astype("float32"),
        "weights": rng.uniform(0.1, 1, count).astype("float32"),
    }


# ---- A twin in NumPy float64 of one loss


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def means(head, outputs):
    if isinstance(head, Categorical):
        return softmax(outputs) @ np.linspace(head.low, head.high, head.atoms)
    return outputs.mean(-1) if isinstance(head, Quantiles) else outputs


def one_target(head, backup, reward, discount, action, q, next_q, next_z, online):
    """The target of one transition, in loops."""
    actions = len(next_q)
    if backup == "munchausen":
        scaled = 0.03 * log_softmax(next_q / 0.03)
        policy, offsets = softmax(next_q / 0.03), -discount * scaled
        reward = reward + 0.9 * np.clip(0.03 * log_softmax(q / 0.03)[action], -1, 0)
    else:
        best = int((next_q if backup == "greedy" else online).argmax())
        policy, offsets = np.eye(actions)[best], np.zeros(actions)
    if isinstance(head, Categorical):
        target, z = np.zeros(head.atoms), np.linspace(head.low, head.high, head.atoms)
        spacing = z[1] - z[0]
        for a, j, k in np.ndindex(actions, head.atoms, head.atoms):
            at = np.clip(reward + offsets[a] + discount * z[j], head.low, head.high)
            share = max(0.0, 1.0 - abs(at - z[k]) / spacing)
            target[k] += policy[a] * softmax(next_z[a])[j] * share
        return target
    rows = [reward + offsets[a] + discount * next_z[a] for a in range(actions)]
    return sum(p * row for p, row in zip(policy, rows, strict=True))


def one_loss(head, predicted, target):
    if isinstance(head, Categorical):
        return -(target * log_softmax(predicted)).sum()
    if isinstance(head, Quantiles):
        total = 0.0
        for i, theta in enumerate(predicted):
            tau = (i + 0.5) / len(predicted)
            u = target - theta
            costs = np.where(abs(u) < 1, 0.5 * u**2, abs(u) - 0.5)
            total += (abs(tau - (u < 0)) * costs).mean()
        return total
    error = abs(predicted - target)
    return 0.5 * error**2 if error < 1 else error - 0.5


@pytest.mark.parametrize("name, backup", PAIRS)
def test_a_step_has_the_loss_of_the_twin(name, backup):
    agent, batch = make_agent(name, backup), batch_of()
    head = DISTRIBUTIONS[name]()
    model = DQN(agent.network, distribution=head, backup=backup)
    rng = np.random.default_rng(1)
    model.target_network.set_weights(
        [w + 0.3 * rng.normal(size=w.shape) for w in model.target_network.get_weights()]
    )
    outputs = {
        (role, when): ops.convert_to_numpy(net(batch[when])).astype("float64")
        for role, net in (("online", model.network), ("target", model.target_network))
        for when in ("observations", "next_observations")
    }
    losses = []
    for i, action in enumerate(batch["actions"]):
        target = one_target(
            head,
            backup,
            float(batch["rewards"][i]),
            float(batch["discounts"][i]),
            action,
            means(head, outputs["target", "observations"][i]),
            means(head, outputs["target", "next_observations"][i]),
            outputs["target", "next_observations"][i],
            means(head, outputs["online", "next_observations"][i]),
        )
        predicted = outputs["online", "observations"][i, action]
        losses.append(one_loss(head, predicted, target))
    expected = np.mean(batch["weights"] * np.array(losses))
    model.compile(optimizer=keras.optimizers.SGD(1e-3))
    update = Learner(model).update(batch)
    np.testing.assert_allclose(update.loss, expected, rtol=1e-4)
    assert update.priorities.shape == (6,) and (update.priorities >= 0).all()
    q_values = [means(head, z)[a] for z, a in zip(
        outputs["online", "observations"], batch["actions"], strict=True
    )]  # fmt: skip
    np.testing.assert_allclose(update.q_values, q_values, atol=1e-4)


@pytest.mark.parametrize("name", ("categorical", "quantiles"))
def test_several_updates_in_one_dispatch_equal_single_ones(name):
    one, other = make_agent(name, "munchausen"), make_agent(name, "munchausen")
    for each in (one, other):
        each.build(keras_dqn.make_envs(EchoEnv, 8, seed=0))
    batch = batch_of()
    for _ in range(3):
        one.learner.update(batch)
    other.learner.update_many({k: np.stack([v] * 3) for k, v in batch.items()})
    for a, b in zip(
        one.network.get_weights(), other.network.get_weights(), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize(
    "name, backup",
    (("categorical", "double"), ("quantiles", "greedy"), ("scalar", "munchausen")),
)
def test_members_of_the_family_learn(name, backup):
    agent = make_agent(name, backup)
    agent.fit(
        EchoEnv,
        **{
            **FIT,
            "env_steps": 6_400,
            "batch_size": 32,
            "target_sync_env_steps": 320,
            "epsilon_endpoints": ((0, 1.0), (3_200, 0.1)),
            "epsilon_final": 0.1,
        },
    )
    assert agent.evaluate(episodes=8, epsilon=0.0).scores.mean() >= 15


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_an_agent_acts_and_is_saved_with_its_distribution(tmp_path, name):
    agent = make_agent(name, Munchausen(0.5))
    agent.fit(EchoEnv, **FIT)
    given = np.eye(4, dtype="float32")
    head = DISTRIBUTIONS[name]()
    expected = ops.convert_to_numpy(head.mean(agent.network(given)))
    assert expected.shape == (4, 4)
    for q_values in (
        agent.predict(given),
        agent.q_network(given),
        agent.learner.q_values(given),
    ):
        np.testing.assert_allclose(ops.convert_to_numpy(q_values), expected, atol=1e-5)
    np.testing.assert_array_equal(agent.act(given), expected.argmax(1))
    agent.save(tmp_path / "agent")
    loaded = keras_dqn.DQNAgent.load(tmp_path / "agent")
    for each in (agent, loaded):
        each.fit(EchoEnv, **FIT)
    np.testing.assert_array_equal(loaded.predict(given), agent.predict(given))
    agent.q_network.save(tmp_path / "q.keras")
    policy = keras_dqn.Policy(keras_dqn.load_network(tmp_path / "q.keras"))
    np.testing.assert_allclose(policy.q_values(given), agent.predict(given), atol=1e-5)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_distribution_model_has_the_numbers_of_the_distribution(name):
    agent, given = make_agent(name), np.eye(4, dtype="float32")
    if name == "scalar":
        with pytest.raises(ValueError, match="must predict distributions"):
            agent.distribution_model()
        assert agent.q_network is agent.network
        return
    shown = ops.convert_to_numpy(agent.distribution_model()(given))
    outputs = ops.convert_to_numpy(agent.network(given))
    expected = softmax(outputs) if name == "categorical" else outputs
    np.testing.assert_allclose(shown, expected, atol=1e-6)
    assert agent.q_network is agent.q_network is not agent.network


def test_a_network_that_does_not_fit_the_distribution_is_refused():
    agent = make_agent("quantiles")
    agent.compile(distribution=Categorical(5))
    with pytest.raises(ValueError, match="5 atoms"):
        agent.fit(EchoEnv, **FIT)
    agent.compile()
    with pytest.raises(ValueError, match="shape `\\(batch, actions\\)`"):
        agent.fit(EchoEnv, **FIT)
    with pytest.raises(ValueError, match="output of shape"):
        keras_dqn.Policy(agent.network)


def test_settings_choose_the_parts():
    made = arguments.from_settings(
        keras_dqn.Settings(
            distribution="categorical",
            atoms=7,
            value_low=-1.0,
            value_high=2.0,
            priority="kl",
            munchausen=True,
            munchausen_tau=0.5,
            clip_scope="global",
            clipnorm=3.0,
        )
    )
    wanted = {"atoms": 7, "low": -1.0, "high": 2.0, "priority": "kl"}
    assert made["distribution"].get_config() == wanted
    wanted = {"alpha": 0.9, "tau": 0.5, "clip": -1.0}
    assert made["backup"].get_config() == wanted
    assert made["optimizer"].global_clipnorm == 3.0
    assert made["optimizer"].clipnorm is None
    plain = arguments.from_settings(keras_dqn.Settings(huber_delta=2.0))
    assert plain["distribution"].get_config() == {"huber_delta": 2.0, "priority": "td"}
    assert plain["backup"] == "double" and plain["optimizer"].clipnorm == 10.0
    quantiles = keras_dqn.Settings(distribution="quantiles", quantiles=9)
    made = arguments.from_settings(quantiles)["distribution"]
    assert (made.quantiles, made.kappa) == (9, 1.0)
    network = keras_dqn.models.for_settings(quantiles, 3, (4,))
    assert network.output_shape == (None, 3, 9)


@pytest.mark.parametrize(
    "fields, name",
    (
        ({"atoms": 11}, "atoms"),
        ({"value_low": -1.0, "distribution": "quantiles"}, "value_low"),
        ({"quantiles": 11}, "quantiles"),
        ({"huber_delta": 2.0, "distribution": "categorical"}, "huber_delta"),
        ({"munchausen_alpha": 0.5}, "munchausen_alpha"),
        ({"munchausen": True, "double_q": False}, "double_q"),
        ({"priority": "loss", "replay_kind": "uniform"}, "priority"),
        ({"priority": "kl"}, "priority"),
        ({"distribution": "categorical", "value_high": -20.0}, "value_low"),
    ),
)
def test_a_setting_that_nothing_reads_is_refused(fields, name):
    with pytest.raises(keras_dqn.config.SettingsError, match=f"`{name}`"):
        keras_dqn.Settings(**fields)
