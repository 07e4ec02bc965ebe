"""Every number of a run, in one frozen dataclass.

Each field states its meaning, unit and range once, in its metadata. Validation,
command line, checkpoint manifest and documentation are all made from that.
The defaults are the seed; `presets.py` cites where each comes from.
"""

from __future__ import annotations

import dataclasses
import functools
import re

from keras_dqn import checks
from keras_dqn.schedules import PiecewiseSchedule
from keras_dqn.schedules import checked_endpoints


class SettingsError(ValueError):
    """A setting that no run can use.

    The message names the field, the rule and the value received; `field` is the
    name of the field (or of the unknown key) alone, for a program to use.
    """

    def __init__(self, message, field=None):
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
    """All settings of a run, checked.

    Time is counted in agent steps, summed over all environments ("env steps"),
    unless a name says otherwise. `dataclasses.fields(Settings)` has the meaning,
    unit and range of each field in its `metadata`.

    Raises:
        SettingsError: If a value has the wrong type or is out of range, or if two
            values exclude each other. It is a `ValueError`.
    """

    # Environment. Those from `repeat_action_probability` on are for Atari games.
    env_id: str = _text("Breakout", "environment to play", flag="--env")
    num_envs: int = _count(8, "environments that play side by side", "environments")
    repeat_action_probability: float | None = _probability(
        None, "chance that the game repeats the last action", none="as the id says"
    )
    life_loss: str = _choice(
        "reset",
        "what a lost life does: `reset` ends the episode and restarts the game, "
        "`terminal` ends it for the target only, `ignore` nothing",
        choices=("reset", "terminal", "ignore"),
    )
    noop_max: int = _count(
        30, "most no-op frames at a game's start", "frames", minimum=0
    )
    clip_rewards: bool = _flag(False, "train on the sign of the reward")
    frame_skip: int = _count(4, "frames for which an action is held", "frames")
    max_episode_frames: int = _count(108_000, "time limit of an episode", "frames")
    full_action_space: bool = _flag(False, "offer all 18 joystick actions")
    fire_reset: bool = _flag(True, "press FIRE at a game's start, where it exists")

    # Replay.
    replay_kind: str = _choice(
        "prioritized",
        "how transitions are drawn (`uniform` has no alpha, beta or priorities)",
        choices=("prioritized", "uniform"),
    )
    replay_capacity: int = _count(2**14, "size of the replay memory", "transitions")
    alpha: float = _probability(0.6, "exponent of the priorities; 0 is uniform")
    priority_epsilon: float = _number(1e-6, "added to |TD error|", above=0.0)
    replay_device: str = _choice(
        "host",
        "where minibatches take frames from: `host` sends them with every update, "
        "`accelerator` keeps a copy of all frames beside the network, sends each "
        "once, and then only its number",
        choices=("host", "accelerator"),
    )
    n_steps: int = _count(1, "rewards summed into a transition", "agent steps")
    gamma: float = _probability(0.99, "discount per agent step")

    # Network and gradient step.
    hidden_units: int = _count(256, "width of each dueling head", "units")
    learning_rate: float = _number(1e-4, "learning rate of Adam", above=0.0)
    adam_epsilon: float = _number(1e-8, "epsilon of Adam", above=0.0)
    clipnorm: float | None = _number(
        10.0, "largest gradient norm of each variable", "L2 norm", above=0.0, none="off"
    )
    huber_delta: float = _number(
        1.0, "|TD error| from which the loss is linear", "reward", above=0.0
    )
    double_q: bool = _flag(True, "choose next actions with the online network")
    dtype_policy: str = _choice(
        "float32",
        "dtype policy of the network",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )
    jit_compile: str = _choice(
        "auto",
        "whether XLA (TensorFlow), `jax.jit` or `torch.compile` compiles the step; "
        "`auto`: where it is faster",
        choices=("auto", "yes", "no"),
    )

    # Run.
    env_steps: int = _count(40_000_000, "length of the run", "agent steps")
    vector_steps_per_iteration: int = _count(
        4, "steps of each environment in an iteration", "agent steps"
    )
    batch_size: int = _count(32, "transitions in a minibatch", "transitions")
    updates_per_iteration: int = _count(
        8, "gradient steps in an iteration", "gradient steps"
    )
    updates_per_dispatch: int = _count(
        1,
        "gradient steps sent to the device at once, drawn with the same priorities; "
        "divides the updates per iteration",
        "gradient steps",
    )
    learning_starts_env_steps: int | None = _count(
        None, "when training starts", "agent steps", none="when the replay is full"
    )
    target_sync_env_steps: int = _count(
        10_000, "period of the target network's copy", "agent steps"
    )
    epsilon_endpoints: tuple[tuple[int, float], ...] = _endpoints(
        ((0, 1.0), (1_000_000, 0.1), (20_000_000, 0.01)),
        "corners of the chance of a random action",
    )
    epsilon_outside: float = _probability(
        0.01, "chance of a random action after the last corner"
    )
    beta_endpoints: tuple[tuple[int, float], ...] = _endpoints(
        ((0, 0.4), (40_000_000, 1.0)),
        "corners of the exponent of the importance-sampling weights",
    )
    beta_outside: float = _probability(1.0, "that exponent after the last corner")
    seed: int = _count(7, "seed of every draw in the run", minimum=0, maximum=2**31 - 1)
    log_interval_iterations: int = _count(10, "period of log lines", "iterations")
    checkpoint_interval_iterations: int = _count(
        100_000, "period of checkpoints", "iterations"
    )
    histogram_interval_iterations: int = _count(
        10, "period of Q-value histograms", "iterations"
    )
    evaluation_episodes: int = _count(30, "whole games in an evaluation", "episodes")
    evaluation_epsilon: float = _probability(
        0.05, "chance of a random action in an evaluation"
    )
    evaluation_interval_iterations: int | None = _count(
        None, "period of evaluations while training", "iterations", none="never"
    )
    stop_at_score: float | None = _number(
        None, "mean score of an evaluation that ends the run", "score", none="never"
    )
    env_timeout_seconds: float | None = _number(
        300.0,
        "longest wait for the environments before the command gives them up",
        "seconds",
        above=0.0,
        none="no limit",
    )

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = checked(field.name, getattr(self, field.name))
            object.__setattr__(self, field.name, value)
        for is_met, rule in _rules(self):
            if not is_met:
                names = re.findall(r"`(\w+)`", rule)
                values = [
                    f"{name}={checks.shown(getattr(self, name))}" for name in names
                ]
                raise SettingsError(f"{rule}. Received: {', '.join(values)}", names[0])

    @property
    def epsilon_schedule(self):
        """`PiecewiseSchedule`: agent steps to the chance of a random action."""
        return PiecewiseSchedule(self.epsilon_endpoints, self.epsilon_outside)

    @property
    def beta_schedule(self):
        """`PiecewiseSchedule`: agent steps to the importance exponent."""
        return PiecewiseSchedule(self.beta_endpoints, self.beta_outside)

    @property
    def env_steps_per_iteration(self):
        """Agent steps in one iteration, all environments together."""
        return self.num_envs * self.vector_steps_per_iteration

    @property
    def iterations(self):
        """Iterations in the run; `env_steps` is rounded down to whole ones."""
        return self.env_steps // self.env_steps_per_iteration

    @property
    def target_sync_interval_iterations(self):
        """Iterations between two copies to the target network, at least 1.

        Rounded down as in the seed: 10,000 env steps are 312 iterations of 32
        steps, that is 9,984 env steps.
        """
        return max(1, self.target_sync_env_steps // self.env_steps_per_iteration)

    @property
    def learning_starts(self):
        """Agent steps after which training starts; `None` is resolved."""
        if self.learning_starts_env_steps is None:
            return self.replay_capacity
        return self.learning_starts_env_steps

    def replace(self, **changes):
        """Returns a copy with some fields changed, checked like any other."""
        return type(self).from_dict({**self.to_dict(), **changes})

    def to_dict(self):
        """Returns all fields by name, as values that JSON can hold."""
        values = {name: getattr(self, name) for name in FIELDS}
        for name in ("epsilon_endpoints", "beta_endpoints"):
            values[name] = [list(pair) for pair in values[name]]
        return values

    @classmethod
    def from_dict(cls, values):
        """Returns the settings that `to_dict` wrote; fields left out are defaults.

        Raises:
            SettingsError: If a key is no field. The nearest field is named.
        """
        if not isinstance(values, dict):
            shown = checks.shown(values)
            raise SettingsError(f"Settings must be a dict. Received: {shown}")
        for key, value in values.items():
            if not isinstance(key, str) or key not in FIELDS:
                field = key if isinstance(key, str) else None
                hint = checks.did_you_mean(key, FIELDS)
                shown = checks.shown(key).strip("'\"")
                raise SettingsError(
                    f"`{shown}` is not a setting.{hint} "
                    f"Received: {shown}={checks.shown(value)}",
                    field,
                )
        return cls(**values)


FIELDS = {field.name: field for field in dataclasses.fields(Settings)}


def checked(name, value):
    """Returns `value` as the field `name` stores it.

    NumPy numbers become Python numbers, integers given for floats become floats
    and lists become tuples, so that equal settings are equal, as JSON too.

    Raises:
        SettingsError: If the type or range is wrong. Rules between fields are
            checked by `Settings` itself.
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


def _name(name, value):
    is_name = isinstance(value, str) and value.isprintable()
    if not is_name or not value or value != value.strip():
        rule = "a name: printable, not empty, no spaces around it"
        raise checks.ArgumentError(name, rule, value)
    return str(value)


_BOUNDS = ("minimum", "maximum", "above", "choices")
_CHECKS = {
    "count": checks.integer,
    "number": checks.number,
    "flag": checks.boolean,
    "choice": checks.choice,
    "text": _name,
    "endpoints": checked_endpoints,
}


def _rules(settings):
    """Yields pairs: whether a rule between fields is met, and the rule.

    The first field that a rule names is the one to blame.
    """
    epsilons = [y for _, y in settings.epsilon_endpoints] + [settings.epsilon_outside]
    yield (
        epsilons == sorted(epsilons, reverse=True),
        "`epsilon_endpoints` must never rise, nor end below `epsilon_outside`",
    )
    capacity, num_envs = settings.replay_capacity, settings.num_envs
    first_transition = settings.n_steps * num_envs  # agent steps until it is whole
    yield (
        capacity > first_transition,
        "`replay_capacity` must be > `n_steps` * `num_envs`",
    )
    yield (
        capacity % num_envs == 0,
        "`replay_capacity` must be a multiple of `num_envs`, for example "
        f"{capacity // num_envs * num_envs}",
    )
    for name in ("alpha", "priority_epsilon"):
        is_default = getattr(settings, name) == FIELDS[name].default
        yield (
            settings.replay_kind == "prioritized" or is_default,
            f"`{name}` must not be set with `replay_kind` 'uniform', which has no "
            "priorities",
        )
    yield (
        settings.updates_per_iteration % settings.updates_per_dispatch == 0,
        "`updates_per_dispatch` must divide `updates_per_iteration`",
    )
    each = settings.env_steps_per_iteration
    yield (
        settings.iterations >= 1,
        "`env_steps` must be at least one iteration, `num_envs` * "
        f"`vector_steps_per_iteration` = {each} agent steps",
    )
    yield (
        settings.stop_at_score is None
        or settings.evaluation_interval_iterations is not None,
        "`stop_at_score` needs `evaluation_interval_iterations`",
    )
    starts, given = settings.learning_starts, settings.learning_starts_env_steps
    name = "replay_capacity" if given is None else "learning_starts_env_steps"
    yield (
        starts <= capacity,
        "`learning_starts_env_steps` must be <= `replay_capacity`",
    )
    yield settings.batch_size <= starts, f"`batch_size` must be <= `{name}`"
    yield (
        first_transition <= starts,
        f"`{name}` must be >= `n_steps` * `num_envs`, the steps until the replay "
        "has a whole transition",
    )
    steps_taken = settings.iterations * each
    hint = ", or `learning_starts_env_steps` must be given" if given is None else ""
    yield (
        starts <= steps_taken,
        f"This run would never train: `{name}` must be <= {steps_taken}, the "
        f"`env_steps` in whole iterations{hint}",
    )
