"""C51, quantiles and Munchausen: numbers worked out in NumPy float64, on a backend."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_dqn.algorithms.backups import Double
from keras_dqn.algorithms.backups import Greedy
from keras_dqn.algorithms.backups import Munchausen
from keras_dqn.algorithms.categorical import Categorical
from keras_dqn.algorithms.distributions import Scalar
from keras_dqn.algorithms.quantiles import Quantiles
from keras_dqn.algorithms.quantiles import midpoints
from keras_dqn.algorithms.quantiles import quantile_losses
from tests import tiny

FIVE = Categorical(5, -2.0, 2.0)
P = np.array([0.1, 0.2, 0.4, 0.2, 0.1])
LOGITS = np.float32([[0.3, -0.1, 0.2, 0.8, -0.5]])


def close(actual, expected, tolerance=1e-5):
    np.testing.assert_allclose(ops.convert_to_numpy(actual), expected, atol=tolerance)


def logits_of(*probabilities):
    """Outputs of one state, whose softmax is these rows, one for each action."""
    return np.log(np.float32(probabilities))[None]


def one_hot(action, actions):
    return np.eye(actions, dtype="float32")[[action]]


def projected(reward, discount, probabilities=P):
    outputs = logits_of(probabilities)
    return FIVE.targets([reward], [discount], outputs, one_hot(0, 1))


# ---- C51


@pytest.mark.parametrize(
    "reward, discount, expected",
    (
        (0.5, 0.9, [0.03, 0.15, 0.32, 0.32, 0.18]),
        (1.0, 0.99, [0.0, 0.098, 0.2, 0.404, 0.298]),
        (0.25, 0.0, [0, 0, 0.75, 0.25, 0]),  # terminated
        (5.0, 0.99, [0, 0, 0, 0, 1]),
        (-0.3, 0.970299, [0.1540598, 0.2659402, 0.3459402, 0.17, 0.06405980]),
        (0.0, 0.0, [0, 0, 1, 0, 0]),  # exactly on an atom: nothing may be lost
        (2.0, 0.0, [0, 0, 0, 0, 1]),
    ),
)
def test_atoms_are_moved_cut_and_shared(reward, discount, expected):
    close(projected(reward, discount), [expected])


def test_where_nothing_is_cut_the_mean_moves_exactly():
    found = projected(0.1, 0.8, [0.1, 0.2, 0.3, 0.3, 0.1])
    close(found, [[0.05, 0.19, 0.36, 0.33, 0.07]])
    close(ops.convert_to_numpy(found) @ FIVE.support, [0.18])


def test_the_loss_is_the_cross_entropy_and_its_gradient_softmax_minus_target():
    targets = np.float32([[0.03, 0.15, 0.32, 0.32, 0.18]])
    close(FIVE.losses(LOGITS, targets).losses, [1.61784571])
    for reward, discount, expected in (
        (1.0, 0.99, 1.63744571),
        (0.25, 0.0, 1.49184571),
        (5.0, 0.99, 2.34184571),
        (-0.3, 0.970299, 1.64906365),
    ):
        found = FIVE.losses(LOGITS, projected(reward, discount))
        close(found.losses, [expected])
    slopes = tiny.gradient(lambda x: FIVE.losses(x, targets).losses, LOGITS)
    expected = [0.18398578, -0.00656104, -0.12637766, 0.03280291, -0.08384999]
    close(slopes, [expected])


@pytest.mark.parametrize(
    "priority, expected",
    (
        ("loss", [1.61784571, 0.86304982]),
        ("kl", [0.19017932, 0.30071467]),
        ("td", [0.49630759, 0.19610955]),
    ),
)
def test_priorities_by_cross_entropy_divergence_and_means(priority, expected):
    # The second transition terminated, with a reward of 0.25.
    logits = np.concatenate([LOGITS, np.float32([[0.0, 0.0, 2.0, 0.5, 0.0]])])
    targets = np.float32([[0.03, 0.15, 0.32, 0.32, 0.18], [0, 0, 0.75, 0.25, 0]])
    head = Categorical(5, -2.0, 2.0, priority)
    close(head.losses(logits, targets).priorities, expected)


def test_a_divergence_is_never_negative_and_zero_for_a_perfect_prediction():
    found = FIVE.losses(np.log(np.float32([P])), np.float32([P]))
    assert 0 <= float(found.priorities[0]) < 1e-6
    certain = FIVE.losses(LOGITS, np.float32([[0, 0, 0, 1, 0]]))
    close(certain.priorities, certain.losses)  # the entropy of the target is 0


def test_the_mean_is_that_of_the_softmax():
    outputs = np.float32([[[-0.05, 0.4, 0.0], [0.45, -0.6, 0.8]]])
    close(Categorical(3, -1.0, 1.0).mean(outputs), [[0.01416492, 0.15134227]])


def test_double_c51_chooses_online_and_projects_the_target_network():
    head = Categorical(3, -1.0, 1.0)
    online = logits_of([0.2, 0.3, 0.5], [0.6, 0.1, 0.3], [0.05, 0.55, 0.4])
    target = logits_of([0.3, 0.4, 0.3], [0.1, 0.3, 0.6], [0.25, 0.5, 0.25])
    close(head.mean(online), [[0.3, -0.3, 0.35]])
    values = {
        "next_q_target": lambda: head.mean(target),
        "next_q_online": lambda: head.mean(online),
    }
    for backup, expected in (
        (Double(), [0.05, 0.6, 0.35]),
        (Greedy(), [0.02, 0.41, 0.57]),
    ):
        found = head.targets([0.3], [0.5], target, backup.policy(**values))
        close(found, [expected])


def test_far_logits_give_finite_losses_and_gradients():
    extreme = np.float32([[1e4, -1e4, 0, 0, 0]])
    targets = np.float32([[0, 1, 0, 0, 0]])
    close(FIVE.losses(extreme, targets).losses, [2e4])
    slopes = tiny.gradient(lambda x: FIVE.losses(x, targets).losses, extreme)
    close(slopes, [[1, -1, 0, 0, 0]])


# ---- Quantiles

THETA = np.float32([[-0.5, 0.2, 1.5]])


@pytest.mark.parametrize(
    "targets, kappa, expected",
    (
        ([0.1, 1.0, 3.0], 1.0, 1.00444444),
        ([0.1, 3.0], 1.0, 1.33291667),  # a sum over predictions, a mean over targets
        ([0.1, 1.0, 3.0], 0.0, 1.45),
        ([0.1, 1.0, 3.0], 0.5, 0.60638889),  # not divided by kappa
    ),
)
def test_the_quantile_loss(targets, kappa, expected):
    found = Quantiles(3, kappa).losses(THETA, np.float32([targets]))
    close(found.losses, [expected])


def test_the_gradient_and_the_priorities_of_the_quantile_loss():
    targets = np.float32([[0.1, 1.0, 3.0]])
    slopes = tiny.gradient(lambda x: Quantiles(3).losses(x, targets).losses, THETA)
    close(slopes, [[-0.14444444, -0.28333333, -0.19444444]])
    close(Quantiles(3).losses(THETA, targets).priorities, [0.96666667])
    loss = Quantiles(3, priority="loss").losses(THETA, targets)
    close(loss.priorities, [1.00444444])
    close(loss.td_errors, [0.4 - 4.1 / 3])
    close(loss.q_values, [0.4])


def test_one_quantile_has_half_the_huber_loss():
    predicted, targets = np.float32([[0.3], [2.0]]), np.float32([[1.0], [-5.0]])
    half = Quantiles(1).losses(predicted, targets)
    whole = Scalar().losses(predicted[:, 0], targets[:, 0])
    close(2 * half.losses, ops.convert_to_numpy(whole.losses))


def test_fractions_belong_to_the_predictions():
    # With the fractions along the targets, the loss would be another one.
    wrong = quantile_losses(
        THETA, np.float32([[0.1, 1.0, 3.0]]), midpoints(3)[::-1][None], 1.0, "td"
    )
    assert abs(float(wrong.losses[0]) - 1.00444444) > 0.1
    close(midpoints(3), [1 / 6, 1 / 2, 5 / 6])


def test_dueling_quantiles():
    outputs = np.float32([[[-0.25, 1.5, 1.6], [0.25, 0.5, 2.4]]])
    close(Quantiles(3).mean(outputs), [[0.95, 1.05]])
    close(Quantiles(3).at(outputs, [1]), outputs[:, 1])


# ---- Munchausen

Q = np.float32([[1.0, 1.05, 0.9, 1.02]])
NEXT_Q = np.float32([[2.0, 1.97, 2.03, 1.5]])


def soft_target(head, q, next_outputs, action, reward, discount, backup=None):
    backup = backup or Munchausen()
    policy = backup.policy(lambda: head.mean(next_outputs), None)
    bonus, offsets = backup.shaping(
        np.int32([action]),
        np.float32([discount]),
        lambda: ops.convert_to_tensor(q),
        lambda: head.mean(next_outputs),
    )
    reward = ops.convert_to_tensor(np.float32([reward])) + bonus
    discounts = np.float32([discount])
    return bonus, head.targets(reward, discounts, next_outputs, policy, offsets)


@pytest.mark.parametrize(
    "q, action, reward, discount, bonus, expected",
    (
        (Q, 0, 0.5, 0.99, -0.05706691, 2.46473899),
        (Q, 1, 0.5, 0.99, -0.01206691, 2.50973899),
        (Q, 0, 1.0, 0.0, -0.05706691, 0.94293309),  # terminated: the bonus stays
        (Q, 0, 1.2, 0.997**3, -0.05706691, 3.16683631),
        (np.float32([[3.0, 2.9, 0.5, 0.0]]), 2, 0.0, 0.99, -0.9, 1.1218059),  # clipped
    ),
)
def test_munchausen_targets(q, action, reward, discount, bonus, expected):
    found = soft_target(Scalar(), q, NEXT_Q, action, reward, discount)
    close(found[0], [bonus])
    close(found[1], [expected])


def test_munchausen_logarithms_are_finite_for_far_q_values():
    q = np.float32([[0.0, 0.1, 2.5, 43.0]])
    for action in range(4):
        bonus, target = soft_target(Scalar(), q, q, action, 0.0, 0.99)
        assert np.isfinite(ops.convert_to_numpy(bonus)).all()
        assert np.isfinite(ops.convert_to_numpy(target)).all()
        close(target, [0.99 * 43.0 - (0.0 if action == 3 else 0.9)])


def test_munchausen_quantiles_mix_the_samples():
    outputs = np.float32(
        [[[1.8, 2, 2.1, 2.1], [1.5, 1.9, 2.2, 2.28], [2.4, 1.6, 2, 2.12]]]
    )
    q = np.float32([[1.0, 1.05, 0.9]])
    expected = [[2.62756876, 2.18434697, 2.49907573, 2.58532616]]
    bonus, found = soft_target(Quantiles(4), q, outputs, 0, 0.5, 0.997**3)
    close(bonus, [-0.04982381])
    close(found, expected)


def test_munchausen_c51_projects_each_action_by_itself():
    outputs = logits_of(
        P, np.array([0.1, 0.2, 0.39, 0.2, 0.11]), np.array([0.2, 0.2, 0.4, 0.1, 0.1])
    )
    backup = Munchausen(alpha=0.0)
    _, found = soft_target(FIVE, NEXT_Q[:, :3], outputs, 0, 0.1, 0.8, backup)
    close(found, [[0.04846266, 0.18846348, 0.4279687, 0.25887626, 0.07622889]])


def test_a_low_temperature_without_a_bonus_is_greedy():
    soft = soft_target(Scalar(), Q, NEXT_Q, 0, 0.5, 0.9, Munchausen(0.0, 1e-4))[1]
    policy = Greedy().policy(lambda: ops.convert_to_tensor(NEXT_Q), None)
    greedy = Scalar().targets([0.5], [0.9], NEXT_Q, policy)
    close(soft, ops.convert_to_numpy(greedy))


# ---- All of them


HEADS = (Scalar(), Categorical(5, -2.0, 2.0), Quantiles(4))
IDS = ("scalar", "categorical", "quantiles")


@pytest.mark.parametrize("head", HEADS, ids=IDS)
def test_no_gradient_flows_through_the_targets(head):
    shape = (1, 3) if isinstance(head, Scalar) else (1, 3, 5)
    shape = (1, 3, 4) if isinstance(head, Quantiles) else shape

    def targets(outputs):
        q_values = head.mean(outputs)
        policy = Munchausen().policy(lambda: q_values, None)
        shaping = Munchausen().shaping(
            np.int32([1]), np.float32([0.9]), lambda: q_values, lambda: q_values
        )
        return head.targets(shaping[0], [0.9], outputs, policy, shaping[1])

    outputs = np.random.default_rng(0).normal(size=shape).astype("float32")
    np.testing.assert_array_equal(tiny.gradient(targets, outputs), 0.0)


@pytest.mark.parametrize("part", (*HEADS, Munchausen(0.5, 0.1, -2.0), Double()))
def test_parts_are_the_same_after_keras_has_saved_them(part):
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(part)
    )
    assert type(again) is type(part) and again.get_config() == part.get_config()


@pytest.mark.parametrize(
    "make",
    (
        lambda: Categorical(1),
        lambda: Categorical(51, 1.0, 1.0),
        lambda: Categorical(priority="best"),
        lambda: Quantiles(0),
        lambda: Quantiles(3, -1.0),
        lambda: Quantiles(3, priority="kl"),
        lambda: Scalar(priority="kl"),
        lambda: Munchausen(tau=0.0),
        lambda: Munchausen(clip=1.0),
        lambda: Munchausen(alpha=2.0),
        lambda: Quantiles(3).mean(np.zeros((2, 3), "float32")),
        lambda: Quantiles(3).mean(np.zeros((2, 3, 4), "float32")),
        lambda: Categorical(3).mean(np.zeros((2, 3, 4), "float32")),
        lambda: Scalar().mean(np.zeros((2, 3, 4), "float32")),
    ),
)
def test_wrong_arguments_and_shapes_are_refused(make):
    with pytest.raises(ValueError, match="must"):
        make()
