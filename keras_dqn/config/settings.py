"""`Settings`: all settings of a run, in one frozen dataclass.

The metadata of each field has its meaning, unit and range. Checks, command-line flags
and the tables in the documentation are made from it.

The defaults are those of the reference implementation, the program for Atari Breakout
that this library rebuilds.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping
from typing import Any

from keras_dqn import checks
from keras_dqn.config.rules import rules
from keras_dqn.schedules import PiecewiseSchedule
from keras_dqn.schedules import checked_endpoints


class SettingsError(ValueError):
    """A setting is unknown, out of range or contradicts another one.

    Args:
        message: String with the field, the rule and the value received.
        field: Name of the field or of the unknown key, or `None`.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


def _setting(kind, default, help, unit=None, **metadata):
    metadata = {"kind": kind, "help": help, "unit": unit, **metadata}
    return dataclasses.field(default=default, metadata=metadata)


_text = functools.partial(_setting, "text")
_flag = functools.partial(_setting, "flag")
_choice = functools.partial(_setting, "choice")
_count = functools.partial(_setting, "count", minimum=1, maximum=checks.LARGEST_COUNT)
_number = functools.partial(_setting, "number")
_probability = functools.partial(_setting, "number", minimum=0.0, maximum=1.0)
_endpoints = functools.partial(_setting, "endpoints", unit="agent steps:value")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of a run. They are checked on creation.

    `env_steps` in a name means agent steps, summed over all environments.

    Raises:
        SettingsError: If a value has the wrong type or is out of range, or if values
            contradict each other. It is a `ValueError`.
    """

    # Environment. Fields from `repeat_action_probability` on are for Atari games only.
    env_id: str = _text("Breakout", "environment to play", flag="--env")
    num_envs: int = _count(8, "environments stepped together", "environments")
    repeat_action_probability: float | None = _probability(
        None,
        "probability that the game repeats the previous action (sticky actions)",
        none="as the id says",
    )
    life_loss: str = _choice(
        "reset",
        "on a lost life, `reset` ends the episode and restarts the game, `terminal` "
        "ends the episode for the targets only, `ignore` does nothing",
        choices=("reset", "terminal", "ignore"),
    )
    noop_max: int = _count(
        30, "largest number of no-op frames at a game's start", "frames", minimum=0
    )
    clip_rewards: bool = _flag(False, "clip training rewards to their sign: -1, 0 or 1")
    frame_skip: int = _count(4, "frames for which an action is repeated", "frames")
    max_episode_frames: int = _count(108_000, "time limit of an episode", "frames")
    full_action_space: bool = _flag(False, "use all 18 joystick actions")
    fire_reset: bool = _flag(True, "press FIRE at a game's start, if there is FIRE")

    # Replay.
    replay_kind: str = _choice(
        "prioritized",
        "how transitions are sampled; `uniform` has no alpha, beta or priorities",
        choices=("prioritized", "uniform"),
    )
    replay_capacity: int = _count(2**14, "capacity of the replay", "transitions")
    alpha: float = _probability(0.6, "exponent of the priorities; 0 is uniform")
    priority: str = _choice(
        "td",
        "priority of a transition: `td`, |TD error|; `loss`; `kl`, divergence of "
        "target and prediction, for `categorical`",
        choices=("td", "loss", "kl"),
    )
    priority_epsilon: float = _number(1e-6, "added to the priority", above=0.0)
    replay_device: str = _choice(
        "host",
        "where minibatches get their frames: `host` sends frames with each update, "
        "`accelerator` keeps them on the device and sends frame numbers",
        choices=("host", "accelerator"),
    )
    n_steps: int = _count(1, "rewards in an n-step return", "agent steps")
    gamma: float = _probability(0.99, "discount per agent step")

    # Network and gradient step.
    body: str = _choice(
        "auto",
        "first layers: `nature`, `data_efficient` or `impala` for images, `mlp` for "
        "vectors; `auto`: `nature` or `mlp`",
        choices=("auto", "nature", "data_efficient", "impala", "mlp"),
    )
    body_width: int = _count(1, "factor of the body's filters or units")
    hidden_units: int = _count(256, "width of each stream of the head", "units")
    dueling: bool = _flag(True, "estimate state value and advantages in two streams")
    distribution: str = _choice(
        "scalar",
        "what the network predicts: `scalar`, the expected return; `categorical`, "
        "probabilities of fixed returns (C51); `quantiles` of the return (QR-DQN)",
        choices=("scalar", "categorical", "quantiles"),
    )
    atoms: int = _count(51, "number of fixed returns", "returns", minimum=2)
    value_low: float = _number(-10.0, "lowest of the fixed returns", "return")
    value_high: float = _number(10.0, "highest of the fixed returns", "return")
    quantiles: int = _count(200, "number of quantiles", "quantiles")
    learning_rate: float = _number(1e-4, "learning rate of Adam", above=0.0)
    adam_epsilon: float = _number(1e-8, "epsilon of Adam", above=0.0)
    clipnorm: float | None = _number(
        10.0, "largest gradient norm of each variable", "L2 norm", above=0.0, none="off"
    )
    clip_scope: str = _choice(
        "variable",
        "what `clipnorm` limits: the gradient of each `variable`, or the `global` norm "
        "of all together",
        choices=("variable", "global"),
    )
    huber_delta: float = _number(
        1.0, "|TD error| above which the loss is linear", "reward", above=0.0
    )
    double_q: bool = _flag(True, "choose next actions with the online network")
    munchausen: bool = _flag(
        False, "soft next actions, and their log-probability in the reward (M-DQN)"
    )
    munchausen_alpha: float = _probability(0.9, "weight of the log-probability")
    munchausen_tau: float = _number(
        0.03, "temperature of the soft actions", "return", above=0.0
    )
    munchausen_clip: float = _number(
        -1.0, "lowest temperature times log-probability", "return", maximum=0.0
    )
    dtype_policy: str = _choice(
        "float32",
        "Keras dtype policy of the network",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )
    jit_compile: str | bool = _choice(
        "auto",
        "compile updates with XLA (TensorFlow), `jax.jit` or `torch.compile`; `auto`: "
        "where that is faster",
        choices=("auto", True, False),
    )

    # Run.
    env_steps: int = _count(40_000_000, "length of the run", "agent steps")
    vector_steps_per_iteration: int = _count(
        4, "steps of each environment in an iteration", "agent steps"
    )
    batch_size: int = _count(32, "transitions in a minibatch", "transitions")
    updates_per_iteration: int = _count(8, "updates in an iteration", "gradient steps")
    updates_per_dispatch: int = _count(
        1,
        "updates sent to the device together, with minibatches that are sampled before "
        "the first one; must divide `updates_per_iteration`",
        "gradient steps",
    )
    learning_starts_env_steps: int | None = _count(
        None, "when training starts", "agent steps", none="when the replay is full"
    )
    target_sync_env_steps: int = _count(10_000, "target update interval", "agent steps")
    epsilon_endpoints: tuple[tuple[int, float], ...] = _endpoints(
        ((0, 1.0), (1_000_000, 0.1), (20_000_000, 0.01)),
        "epsilon schedule: points (agent steps, epsilon), linear in between",
    )
    epsilon_final: float = _probability(0.01, "epsilon from the last point on")
    beta_endpoints: tuple[tuple[int, float], ...] = _endpoints(
        ((0, 0.4), (40_000_000, 1.0)),
        "schedule of the importance-sampling exponent beta: points (agent steps, beta)",
    )
    beta_final: float = _probability(1.0, "beta from the last point on")
    seed: int = _count(7, "random seed of the run", minimum=0, maximum=2**31 - 1)
    log_interval_iterations: int = _count(10, "interval of log records", "iterations")
    checkpoint_interval_iterations: int = _count(
        100_000,
        "interval of checkpoints for an exact resume; each restarts all games",
        "iterations",
    )
    checkpoint_interval_minutes: float | None = _number(
        10.0,
        "longest time between two checkpoints; the additional ones restart no games",
        "minutes",
        above=0.0,
        none="no limit",
    )
    histogram_interval_iterations: int = _count(
        10, "interval of Q-value histograms", "iterations"
    )
    evaluation_episodes: int = _count(30, "whole games in an evaluation", "episodes")
    evaluation_epsilon: float = _probability(0.05, "epsilon in an evaluation")
    evaluation_interval_iterations: int | None = _count(
        None, "interval of evaluations during training", "iterations", none="never"
    )
    evaluation_interval_minutes: float | None = _number(
        None,
        "time of training between two evaluations, in addition to those at intervals "
        "of iterations; counted anew after a resume",
        "minutes",
        above=0.0,
        none="never",
    )
    stop_at_score: float | None = _number(
        None, "mean score of an evaluation that ends the run", "score", none="never"
    )
    env_timeout_seconds: float | None = _number(
        300.0,
        "longest wait for the environments, after which the command ends",
        "seconds",
        above=0.0,
        none="no limit",
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = checked(field.name, getattr(self, field.name))
            object.__setattr__(self, field.name, value)
        for is_met, rule in rules(self):
            if not is_met:
                names = re.findall(r"`(\w+)`", rule)
                values = [
                    f"{name}={checks.shown(getattr(self, name))}" for name in names
                ]
                raise SettingsError(f"{rule}. Received: {', '.join(values)}", names[0])

    @property
    def epsilon_schedule(self) -> PiecewiseSchedule:
        """`PiecewiseSchedule` from agent steps to epsilon."""
        return PiecewiseSchedule(self.epsilon_endpoints, self.epsilon_final)

    @property
    def beta_schedule(self) -> PiecewiseSchedule:
        """`PiecewiseSchedule` from agent steps to beta."""
        return PiecewiseSchedule(self.beta_endpoints, self.beta_final)

    @property
    def env_steps_per_iteration(self) -> int:
        """Agent steps in one iteration, all environments together."""
        return self.num_envs * self.vector_steps_per_iteration

    @property
    def iterations(self) -> int:
        """Iterations in the run. `env_steps` is rounded down to whole iterations."""
        return self.env_steps // self.env_steps_per_iteration

    @property
    def target_sync_interval_iterations(self) -> int:
        """Iterations between two syncs of the target network, at least 1."""
        return max(1, self.target_sync_env_steps // self.env_steps_per_iteration)

    @property
    def learning_starts(self) -> int:
        """Number of transitions in the replay at which training starts."""
        given = self.learning_starts_env_steps
        return self.replay_capacity if given is None else given

    def replace(self, **changes: Any) -> Settings:
        """Returns a copy with some fields changed. All rules are checked again."""
        return type(self).from_dict({**self.to_dict(), **changes})

    def to_dict(self) -> dict[str, Any]:
        """Returns all fields by name, as JSON values."""
        values = {name: getattr(self, name) for name in FIELDS}
        for name in ("epsilon_endpoints", "beta_endpoints"):
            values[name] = [list(pair) for pair in values[name]]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settings:
        """Returns `Settings` from a dictionary. Missing fields have their defaults.

        Raises:
            SettingsError: If a key is not a field, or a value is wrong.
        """
        shown = checks.shown(values)
        if not isinstance(values, dict):
            raise SettingsError(f"Settings must be a dictionary. Received: {shown}")
        for key in values:
            if key not in FIELDS:
                hint = checks.did_you_mean(key, FIELDS)
                raise SettingsError(
                    f"{checks.shown(key)} is not a setting.{hint} Received: {shown}",
                    key,
                )
        return cls(**values)


FIELDS: dict[str, Any] = {field.name: field for field in dataclasses.fields(Settings)}


def checked(name: str, value: object) -> Any:
    """Returns `value`, checked and converted to the type of the field `name`.

    Raises:
        SettingsError: If the type or range is wrong.
    """
    metadata = FIELDS[name].metadata
    if value is None and "none" in metadata:
        return None
    bounds = {key: metadata[key] for key in _BOUNDS if key in metadata}
    try:
        return _CHECKS[metadata["kind"]](name, value, **bounds)
    except checks.ArgumentError as error:
        if "none" in metadata:
            rule = f"{error.rule}, or none ({metadata['none']})"
            error = checks.ArgumentError(name, rule, value)
        raise SettingsError(str(error), name) from None


_BOUNDS = ("minimum", "maximum", "above", "choices")
_CHECKS: dict[str, Any] = {
    "count": checks.integer,
    "number": checks.number,
    "flag": checks.boolean,
    "choice": checks.choice,
    "text": checks.name,
    "endpoints": checked_endpoints,
}
