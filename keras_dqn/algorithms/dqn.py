"""Deep Q-learning: targets, TD errors and losses, and the `keras.Model` `DQN`.

For a transition from state s by action a to state s', with reward r:

    target   = r + discount * Q_target(s', argmax over a' of Q_online(s', a'))
    TD error = Q_online(s, a) - target
    loss     = mean over the batch of weight * huber(TD error)

There is no `done` here. `discount` is 0 where the environment terminated, and gamma
otherwise, also where a time limit truncated the episode.

Two objects without state select the variant:

- A *distribution* defines the network's outputs, see `algorithms.distributions`.
  `Scalar`: one Q-value per action.
- A *backup* defines the next action of the target, see `algorithms.backups`. `Greedy`:
  the best action of the target network (DQN). `Double`: the best action of the online
  network (double DQN).

```python
model = DQN(network, backup=Double(), target_sync_updates=1000)
model.compile(optimizer=keras.optimizers.Adam(1e-4, clipnorm=10.0))
model.fit(dataset_of_batches)
```
"""

from __future__ import annotations

from typing import Any
from typing import Self

import keras
import numpy as np

from keras_dqn import checks
from keras_dqn.algorithms import backups
from keras_dqn.algorithms.distributions import Scalar
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
            `(batch, actions)`, or `(batch, actions, K)` if the distribution has K
            numbers for each action. It is trained in place. It is called with
            `training=True` for the predictions in the loss, and with
            `training=False` for targets and actions.
        distribution: Meaning of the outputs. Default: `Scalar()`.
        backup: Policy for the next action in the targets: `"double"`, `"greedy"`,
            `"munchausen"`, or an object, see `backups`.
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
        # A wrong shape raises an error that names it.
        self.distribution.mean(np.zeros((1, *network.output_shape[1:]), "float32"))
        self.backup = backups.as_backup(backup)
        self.target_sync_updates = target_sync_updates
        self.stack_first = bool(stack_first)
        self.loss_metric = keras.metrics.Mean(name="loss")
        self.td_error_metric = keras.metrics.Mean(name="td_error")
        self.q_metric = keras.metrics.Mean(name="q")
        self.built = True

    @property
    def num_actions(self) -> int:
        """Number of actions, from the size of the network's output."""
        return self.network.output_shape[1]

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
        mean, rewards = self.distribution.mean, batch["rewards"]
        policy = self.backup.policy(
            next_q_target=lambda: mean(next_outputs),
            next_q_online=lambda: mean(online(next_observations)),
        )
        parts = [batch["discounts"], next_outputs, policy]
        if hasattr(self.backup, "shaping"):
            observations = self.to_network_layout(batch["observations"])
            bonuses, offsets = self.backup.shaping(
                batch["actions"],
                batch["discounts"],
                q_target=lambda: mean(target(observations)),
                next_q_target=lambda: mean(next_outputs),
            )
            rewards, parts = rewards + bonuses, [*parts, offsets]
        return self.distribution.targets(rewards, *parts)

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
