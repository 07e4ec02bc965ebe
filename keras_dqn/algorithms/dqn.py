"""`DoubleDQN`: a Keras model with a train step of its own.

It owns the online network, which is the user's, and a frozen copy of it, the
target network, which prices what comes after. One gradient step moves the
online network towards the targets; now and then the target network is made
equal to it.

It trains like any Keras model, on batches of transitions:

```python
model = DoubleDQN(network, target_sync_updates=1000)
model.compile(optimizer=keras.optimizers.Adam(1e-4, clipnorm=10.0))
model.fit(dataset_of_batches)
```
"""

import keras
from keras import ops

from keras_dqn import checks
from keras_dqn.algorithms import losses
from keras_dqn.backend import TrainStep


@keras.saving.register_keras_serializable(package="keras_dqn")
class DoubleDQN(TrainStep):
    """Trains a Q-network by double Q-learning on weighted transitions.

    A batch is a dictionary:

    | key | shape | dtype |
    | --- | --- | --- |
    | `observations`, `next_observations` | `(batch, *observation)` | the network's |
    | `actions` | `(batch,)` | int32 |
    | `rewards`, `discounts`, `weights` | `(batch,)` | float32 |

    Args:
        network: Functional or Sequential `keras.Model`, one input, output
            `(batch, actions)`. It is trained in place and stays the caller's.
        double_q: Boolean. Whether the online network picks the next action
            (double Q-learning) or the target network does (DQN).
        huber_delta: Positive float, where the loss turns from a parabola into
            a straight line.
        target_sync_updates: Integer or `None`. In `fit`, the target network is
            made equal to the online one after every so many gradient steps.
            `None`: only `sync_target()` does it.
        stack_first: Boolean. Whether observations come as `(batch, frames,
            height, width)`, as emulators and replay have them, and are to be
            turned channels-last inside the compiled step.
        name: String, the model's name.

    Raises:
        TypeError: If `network` is not a functional or Sequential model.
        ValueError: If `network` has several inputs or outputs, an output that
            is not `(batch, actions)`, or layers whose state changes in a
            forward pass (batch normalization, dropout); or if a number is out
            of range.

    Reference:
        - [van Hasselt et al., 2016](https://arxiv.org/abs/1509.06461).
        - [Schaul et al., 2016](https://arxiv.org/abs/1511.05952), algorithm 1.
    """

    def __init__(
        self,
        network,
        *,
        double_q=True,
        huber_delta=1.0,
        target_sync_updates=None,
        stack_first=False,
        name="double_dqn",
        **kwargs,
    ):
        check_network(network)
        huber_delta = checks.number("huber_delta", huber_delta, above=0.0)
        if target_sync_updates is not None:
            checks.integer("target_sync_updates", target_sync_updates, minimum=1)
        # The network casts its own input. Autocast would round float observations
        # to the compute dtype first.
        super().__init__(name=name, autocast=False, **kwargs)
        self.network = network
        self.target_network = keras.models.clone_model(network)
        self.target_network.trainable = False
        self.target_network.set_weights(network.get_weights())
        self.double_q = bool(double_q)
        self.huber_delta = huber_delta
        self.target_sync_updates = target_sync_updates
        self.stack_first = bool(stack_first)
        self.loss_metric = keras.metrics.Mean(name="loss")
        self.td_error_metric = keras.metrics.Mean(name="td_error")
        self.q_metric = keras.metrics.Mean(name="q")
        self.built = True

    @property
    def num_actions(self):
        """Number of actions that the network has outputs for."""
        return self.network.output_shape[-1]

    @property
    def metrics(self):
        return [self.loss_metric, self.td_error_metric, self.q_metric]

    def call(self, observations):
        """Returns the online network's Q-values, `(batch, actions)`."""
        return self.network(self.to_network_layout(observations))

    def to_network_layout(self, observations):
        """Turns `(batch, frames, ...)` into `(batch, ..., frames)` if need be."""
        if not self.stack_first:
            return observations
        return self.frames_last(observations)

    def targets(self, online, target, batch):
        """Returns the double-Q targets of a batch, `(batch,)` float32.

        Args:
            online: Callable from observations to Q-values, the online network.
            target: The same, the target network.
            batch: Dictionary of tensors, see the class.
        """
        next_observations = self.to_network_layout(batch["next_observations"])
        return losses.td_targets(
            batch["rewards"],
            batch["discounts"],
            next_q_target=target(next_observations),
            next_q_online=online(next_observations) if self.double_q else None,
        )

    def loss_of(self, online, batch, targets):
        """Returns the loss, and what was predicted, for given targets.

        Args:
            online: Callable from observations to Q-values.
            batch: Dictionary of tensors, see the class.
            targets: Float32 tensor, shape `(batch,)`.

        Returns:
            `(loss, (td_errors, q_values))`: a scalar and two `(batch,)`
            tensors. `td_errors` are prediction minus target, signed.
        """
        q_all = online(self.to_network_layout(batch["observations"]))
        q_values = losses.q_at(q_all, batch["actions"])
        td_errors = q_values - targets
        loss = losses.weighted_huber_loss(td_errors, batch["weights"], self.huber_delta)
        return loss, (td_errors, q_values)

    def is_finite(self, loss, gradients):
        """Returns whether a step may be taken: a boolean scalar tensor.

        Under loss scaling (`mixed_float16`) too large gradients are no fault: the
        optimizer skips such a step itself, and goes on with a smaller scale.
        """
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            return ops.isfinite(loss)
        # Squared, as clipping by norm does: the compiler sums once for both.
        sums = [self.sum_of_squares(gradient) for gradient in gradients]
        return ops.all(ops.isfinite(ops.stack([loss, *sums])))

    def get_config(self):
        return {
            **super().get_config(),
            "network": keras.saving.serialize_keras_object(self.network),
            "double_q": self.double_q,
            "huber_delta": self.huber_delta,
            "target_sync_updates": self.target_sync_updates,
            "stack_first": self.stack_first,
        }

    @classmethod
    def from_config(cls, config):
        network = keras.saving.deserialize_keras_object(config["network"])
        return cls(network, **{k: v for k, v in config.items() if k != "network"})


def check_network(network):
    """Refuses a network that cannot be trained here, saying why.

    Args:
        network: Any object.

    Raises:
        TypeError: If it is not a functional or Sequential `keras.Model`.
        ValueError: If its inputs, outputs or state do not fit.
    """
    if not isinstance(network, keras.Model) or not getattr(network, "inputs", None):
        raise TypeError(
            "`network` must be a functional or a built Sequential `keras.Model`; "
            "a subclassed one becomes functional by "
            "`keras.Model(inputs, subclassed(inputs))`. "
            f"Received: network={network!r}"
        )
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise ValueError(
            "`network` must have one input and one output. Received: "
            f"{len(network.inputs)} inputs, {len(network.outputs)} outputs"
        )
    if len(network.output_shape) != 2 or network.output_shape[-1] is None:
        raise ValueError(
            "`network` must have an output of shape `(batch, actions)`. "
            f"Received: network.output_shape={network.output_shape}"
        )
    if not network.trainable_variables:
        raise ValueError("`network` must have trainable variables. Received: none")
    _check_stateless(network)


def _check_stateless(network):
    """Refuses variables that a forward pass changes. Frozen weights are fine."""
    frozen = {
        id(variable)
        for layer in _leaf_layers(network)
        if not layer.trainable
        for variable in layer.weights
    }
    changing = [v.path for v in network.non_trainable_variables if id(v) not in frozen]
    if changing:
        raise ValueError(
            "`network` must have no state that changes in a forward pass, such as "
            "batch normalization's averages or dropout's seed. A layer whose state "
            "is to stay as it is needs `layer.trainable = False`. "
            f"Received: variables {changing}"
        )


def _leaf_layers(layer):
    children = getattr(layer, "layers", None)
    if not children:
        yield layer
        return
    for child in children:
        yield from _leaf_layers(child)
