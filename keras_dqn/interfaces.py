"""What can be replaced by an object of your own. None of these needs a base class.

| protocol | given to |
| --- | --- |
| `Environment` | `make_envs`, `DQNAgent.fit`, `DQNAgent.evaluate`: its constructor |
| `Replay` | `DQNAgent(network, replay=...)` |
| `Schedule` | `DQNAgent.fit(epsilon=..., beta=...)` |
| `Exploration` | `DQNAgent.fit(exploration=...)` |
| `Monitor` | `DQNAgent.fit(monitors=...)` |
| `Distribution`, `Backup` | `DQNAgent.compile(...)`, `DQN(...)` |

A `Tensor` is one of the backend's, computed on with `keras.ops`.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import Protocol
from typing import runtime_checkable

import numpy as np

Tensor = Any


@runtime_checkable
class Environment(Protocol):
    """An environment with Gymnasium's methods. It need not be a `gymnasium.Env`.

    Attributes:
        action_space: `gymnasium.spaces.Discrete`, or `MultiDiscrete`.
        observation_space: See `envs.GymnasiumEnvs`.
    """

    action_space: Any
    observation_space: Any

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Starts an episode. Returns its first observation and a dictionary."""

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Returns observation, reward, `terminated`, `truncated`, a dictionary."""

    def close(self) -> None:
        """Frees what the environment holds."""


@runtime_checkable
class Replay(Protocol):
    """Stores transitions and samples minibatches.

    Attributes:
        capacity: Integer, the number of transitions kept.
        size: Integer, the number of transitions stored.
    """

    capacity: int

    @property
    def size(self) -> int: ...

    def build(
        self,
        *,
        num_envs: int,
        stored_shape: Sequence[int],
        dtype: Any,
        frame_stack: int,
    ) -> None:
        """Allocates the storage. Each `fit` calls it, see `replay.Replay.build`."""

    def start(self, observations: np.ndarray) -> None:
        """Receives the first observations after a reset, `(num_envs, *stored_shape)`.

        Episodes that were running are truncated.
        """

    def add(self, actions: np.ndarray, step: Any) -> None:
        """Stores one step of all environments.

        Args:
            actions: Integer array, `(num_envs,)`.
            step: `envs.Step`, the results.
        """

    def sample(self, batch_size: int, rng: np.random.Generator, *, beta: float) -> Any:
        """Returns a `replay.Sample`, drawn with `rng` and no other chance.

        It is first called when `size` is at least `learning_starts_env_steps`.
        """

    def update_priorities(self, ids: np.ndarray, priorities: np.ndarray) -> None:
        """Receives the priorities, float32 `(batch,)`, of the sampled `ids`."""


class Schedule(Protocol):
    """A number that changes during a run."""

    def __call__(self, env_steps: int) -> float:
        """Returns the value, from 0 to 1, after so many agent steps."""


class Exploration(Protocol):
    """Chooses the actions of the training."""

    def __call__(
        self, q_values: np.ndarray, epsilon: float, rng: np.random.Generator
    ) -> np.ndarray:
        """Returns an action for each environment.

        Args:
            q_values: Float32 array, `(n, actions)`.
            epsilon: Float from 0 to 1, the schedule's value.
            rng: `numpy.random.Generator`, the only source of chance.

        Returns:
            Integer array, `(n,)`, from 0 to `actions - 1`.
        """


@runtime_checkable
class Monitor(Protocol):
    """Shows or stores the records of a run, in the order of these methods.

    A subclass of `monitor.Monitor` can also receive phases and resumes.
    """

    def start(self, info: Any) -> None:
        """Receives the `monitor.RunInfo`, once, before the first record."""

    def write(self, progress: Any) -> None:
        """Receives the `progress.Progress` of each iteration."""

    def message(self, text: str) -> None:
        """Receives a line of text, such as a warning."""

    def close(self) -> None:
        """Frees what the monitor holds. Called at the end, also after an error."""


class Distribution(Protocol):
    """What the network's outputs mean. `algorithms.distributions.Scalar`: Q-values.

    All tensors are float32. `K` is the number of outputs for each action; outputs
    without that axis are Q-values.
    """

    def mean(self, outputs: Tensor) -> Tensor:
        """Returns the Q-values `(batch, actions)` of `(batch, actions[, K])`."""

    def at(self, outputs: Tensor, actions: Tensor) -> Tensor:
        """Returns the outputs `(batch[, K])` for int32 `actions`, `(batch,)`."""

    def targets(
        self, rewards: Tensor, discounts: Tensor, next_outputs: Tensor, policy: Tensor
    ) -> Tensor:
        """Returns the targets `(batch[, K])`, through which no gradient flows.

        Args:
            rewards, discounts: `(batch,)`, see `algorithms.dqn`.
            next_outputs: `(batch, actions[, K])`, of the target network.
            policy: `(batch, actions)`, probabilities of the next actions.
        """

    def losses(self, predicted: Tensor, targets: Tensor) -> Any:
        """Returns `algorithms.distributions.Losses`: four tensors `(batch,)`."""


class Backup(Protocol):
    """Which next action a target is computed for, see `algorithms.backups`."""

    def policy(
        self, next_q_target: Callable[[], Tensor], next_q_online: Callable[[], Tensor]
    ) -> Tensor:
        """Returns the probabilities of the next actions, `(batch, actions)`.

        Args:
            next_q_target: Function that returns the Q-values `(batch, actions)` of
                the target network.
            next_q_online: The same for the online network.
        """
