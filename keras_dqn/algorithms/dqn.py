"""Deep Q-learning: targets, TD errors and losses, and the `keras.Model` `DQN`.

For a transition from state s by action a to state s', with reward r:

    target   = r + discount * Q_target(s', argmax over a' of Q_online(s', a'))
    TD error = Q_online(s, a) - target
    loss     = mean over the batch of weight * huber(TD error)

There is no `done` here. `discount` is 0 where the environment terminated, and gamma
otherwise, also where a time limit truncated the episode.

Two objects without state select the variant:

- A *distribution* defines the network's outputs. `Scalar`: one Q-value per action.
- A *backup* defines the next action of the target. `Greedy`: the best action of the
  target network (DQN). `Double`: the best action of the online network (double DQN).

```python
model = DQN(network, backup=Double(), target_sync_updates=1000)
model.compile(optimizer=keras.optimizers.Adam(1e-4, clipnorm=10.0))
model.fit(dataset_of_batches)
```
"""

from __future__ import annotations

from typing import Any
from typing import NamedTuple
from typing import Self

import keras
from keras import ops

from keras_dqn import checks
from keras_dqn.algorithms import backups
from keras_dqn.algorithms.maths import check_matrices
from keras_dqn.algorithms.maths import check_vectors
from keras_dqn.algorithms.maths import huber
from keras_dqn.algorithms.maths import weighted_mean
from keras_dqn.backend import TrainStep
from keras_dqn.backend import Update
from keras_dqn.backend import frames_last
from keras_dqn.backend.interface import Batch
from keras_dqn.backend.interface import Forward
from keras_dqn.backend.interface import Tensor
from keras_dqn.models.checking import check_network
from keras_dqn.models.copying import copy_network

BATCH_KEYS = (
    "observations",
    "actions",
    "rewards",
    "discounts",
    "next_observations",
    "weights",
)


class Losses(NamedTuple):
    """The losses and TD errors of a minibatch: float32 tensors `(batch,)`.

    Attributes:
        losses: Loss of each transition, without importance-sampling weight.
        priorities: Priority of each transition, at least 0: |TD error|.
        td_errors: Prediction minus target, signed, in units of return.
        q_values: Predicted Q(s, a).
    """

    losses: Tensor
    priorities: Tensor
    td_errors: Tensor
    q_values: Tensor


@keras.saving.register_keras_serializable(package="keras_dqn")
class Scalar:
    """The outputs are Q-values, `(batch, actions)`: one expected return per action.

    Args:
        huber_delta: Positive float: TD errors above it have a linear loss.

    Raises:
        ValueError: If `huber_delta` is not a positive number.
    """

    def __init__(self, huber_delta: float = 1.0) -> None:
        self.huber_delta = checks.number("huber_delta", huber_delta, above=0.0)

    def mean(self, outputs: Tensor) -> Tensor:
        """Returns the Q-values of outputs, float32 `(batch, actions)`."""
        outputs = ops.cast(ops.convert_to_tensor(outputs), "float32")
        check_matrices(q_values=outputs)
        return outputs

    def at(self, outputs: Tensor, actions: Tensor) -> Tensor:
        """Returns Q(s, a) for the given actions.

        It sums over a one-hot mask, since the gradient of a gather is a scatter-add,
        which is not deterministic on every device.

        Args:
            outputs: Float tensor, `(batch, actions)`.
            actions: Integer tensor, `(batch,)`.

        Returns:
            Float32 tensor, `(batch,)`.

        Raises:
            ValueError: If a shape is wrong.
        """
        q_values = self.mean(outputs)
        actions = ops.cast(ops.convert_to_tensor(actions), "int32")
        check_vectors(q_values.shape[0], actions=actions)
        selected = ops.one_hot(actions, q_values.shape[-1], dtype="float32")
        return ops.sum(q_values * selected, axis=-1)

    def targets(
        self, rewards: Tensor, discounts: Tensor, next_outputs: Tensor, policy: Tensor
    ) -> Tensor:
        """Returns the targets for Q(s, a): `reward + discount * next value`.

        Args:
            rewards: Float tensor, `(batch,)`: the reward, or the discounted sum of
                n rewards.
            discounts: Float tensor, `(batch,)`: gamma to the power of the number of
                steps to the next observation, or 0 where the environment terminated.
            next_outputs: Float tensor, `(batch, actions)`: the target network's
                outputs for the next observations.
            policy: Float tensor, `(batch, actions)`: probabilities of the next
                actions, see `backups`.

        Returns:
            Float32 tensor, `(batch,)`. No gradient flows through it.

        Raises:
            ValueError: If a shape is wrong. A shape `(batch, 1)` would otherwise be
                broadcast to `(batch, batch)`.

        Example:

        >>> float(Scalar().targets([1.0], [0.5], [[10.0, 20.0]], [[1.0, 0.0]])[0])
        6.0

        Reference:
            - [van Hasselt et al., 2016](https://arxiv.org/abs/1509.06461), section
              "Double Q-learning", equation 4.
        """
        rewards = ops.convert_to_tensor(rewards, "float32")
        discounts = ops.convert_to_tensor(discounts, "float32")
        next_q_values = self.mean(next_outputs)
        policy = ops.convert_to_tensor(policy, "float32")
        check_matrices(next_outputs=next_q_values, policy=policy)
        check_vectors(next_q_values.shape[0], rewards=rewards, discounts=discounts)
        next_values = ops.sum(next_q_values * policy, axis=-1)
        return ops.stop_gradient(rewards + discounts * next_values)

    def losses(self, predicted: Tensor, targets: Tensor) -> Losses:
        """Returns the `Losses` of the predictions.

        Args:
            predicted: Float32 tensor, `(batch,)`, see `at`.
            targets: Float32 tensor, `(batch,)`, see `targets`.

        Raises:
            ValueError: If a shape is wrong.

        Reference:
            - [Schaul et al., 2016](https://arxiv.org/abs/1511.05952), section 3.3:
              the priority is |TD error|.
        """
        predicted = ops.convert_to_tensor(predicted)
        targets = ops.convert_to_tensor(targets)
        check_vectors(predicted.shape[0], predicted=predicted, targets=targets)
        td_errors = predicted - targets
        losses = huber(td_errors, self.huber_delta)
        return Losses(losses, ops.abs(td_errors), td_errors, predicted)

    def get_config(self) -> dict[str, Any]:
        return {"huber_delta": self.huber_delta}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)


@keras.saving.register_keras_serializable(package="keras_dqn")
class DQN(TrainStep):
    """Trains a Q-network on weighted transitions.

    It holds the given network, the online network, and a frozen copy of it, the
    target network. A gradient step updates the online network. At intervals the
    online network is copied to the target network. The gradient step of each backend
    is in `backend/`, and its interface to this class is `backend.interface.Algorithm`.

    A batch is a dictionary:

    | key | shape | dtype |
    | --- | --- | --- |
    | `observations`, `next_observations` | `(batch, *observation)` | the network's |
    | `actions` | `(batch,)` | int32 |
    | `rewards`, `discounts`, `weights` | `(batch,)` | float32 |

    Args:
        network: Functional or Sequential `keras.Model`, one input, output
            `(batch, actions)`. It is trained in place. It is called with
            `training=True` for the predictions in the loss, and with
            `training=False` for targets and actions.
        distribution: Meaning of the outputs. Default: `Scalar()`.
        backup: Policy for the next action in the targets: `"double"`, `"greedy"`,
            or an object, see `backups`.
        target_sync_updates: Integer or `None`. In `fit`, the online network is
            copied to the target network every `target_sync_updates` gradient steps.
            `None`: only by `sync_target()`.
        stack_first: Boolean. Whether observations have shape `(batch, frames,
            height, width)`, as in the replay. The compiled step then transposes
            them to channels-last.
        name: String, the model's name.

    Raises:
        TypeError: If `network` is not a functional or Sequential model.
        ValueError: If `network` has several inputs or outputs, an output that
            is not `(batch, actions)`, no trainable variables, or cannot be copied;
            or if an argument is out of range.

    Reference:
        - [van Hasselt et al., 2016](https://arxiv.org/abs/1509.06461).
        - [Schaul et al., 2016](https://arxiv.org/abs/1511.05952), algorithm 1.
    """

    batch_keys = BATCH_KEYS

    def __init__(
        self,
        network: keras.Model,
        *,
        distribution: Any = None,
        backup: Any = "double",
        target_sync_updates: int | None = None,
        stack_first: bool = False,
        name: str = "dqn",
        **kwargs: Any,
    ) -> None:
        check_network(network)
        if target_sync_updates is not None:
            checks.integer("target_sync_updates", target_sync_updates, minimum=1)
        # Without autocast, which would round float observations to the compute dtype
        # before the network gets them.
        super().__init__(name=name, autocast=False, **kwargs)
        self.network = network
        self.target_network = copy_network(network, trainable=False)
        self.distribution = Scalar() if distribution is None else distribution
        self.backup = backups.as_backup(backup)
        self.target_sync_updates = target_sync_updates
        self.stack_first = bool(stack_first)
        self.loss_metric = keras.metrics.Mean(name="loss")
        self.td_error_metric = keras.metrics.Mean(name="td_error")
        self.q_metric = keras.metrics.Mean(name="q")
        self.built = True

    @property
    def num_actions(self) -> int:
        """Number of actions, the size of the network's output."""
        return self.network.output_shape[-1]

    @property
    def metrics(self) -> list[Any]:
        return [self.loss_metric, self.td_error_metric, self.q_metric]

    def call(self, observations: Tensor, training: bool = False) -> Tensor:
        """Returns the online network's Q-values, float32 `(batch, actions)`."""
        observations = self.to_network_layout(observations)
        return self.to_q_values(self.network(observations, training=training))

    def to_q_values(self, outputs: Tensor) -> Tensor:
        """Returns the Q-values of a network's outputs, `(batch, actions)`."""
        return self.distribution.mean(outputs)

    def to_network_layout(self, observations: Tensor) -> Tensor:
        """Moves frames last, `(batch, ..., frames)`, if `stack_first` is true."""
        return frames_last(observations) if self.stack_first else observations

    def targets_of(self, batch: Batch, online: Forward, target: Forward) -> Tensor:
        """Returns the targets of a batch. See `backend.interface.Algorithm`."""
        next_observations = self.to_network_layout(batch["next_observations"])
        next_outputs = target(next_observations)
        mean = self.distribution.mean
        policy = self.backup.policy(
            next_q_target=lambda: mean(next_outputs),
            next_q_online=lambda: mean(online(next_observations)),
        )
        return self.distribution.targets(
            batch["rewards"], batch["discounts"], next_outputs, policy
        )

    def loss_of(self, batch: Batch, online: Forward, targets: Tensor) -> Update:
        """Returns the `Update` of a batch. See `backend.interface.Algorithm`."""
        outputs = online(self.to_network_layout(batch["observations"]))
        predicted = self.distribution.at(outputs, batch["actions"])
        found = self.distribution.losses(predicted, targets)
        loss = weighted_mean(found.losses, batch["weights"])
        return Update(loss, found.priorities, found.td_errors, found.q_values)

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "network": serialize(self.network),
            "distribution": serialize(self.distribution),
            "backup": serialize(self.backup),
            "target_sync_updates": self.target_sync_updates,
            "stack_first": self.stack_first,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        objects = {
            name: keras.saving.deserialize_keras_object(config[name])
            for name in ("network", "distribution", "backup")
        }
        return cls(**{**config, **objects})
