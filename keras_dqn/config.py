"""Every number of a run, in one frozen dataclass.

Each field states its meaning, unit and range once, in its metadata. Validation,
command line, checkpoint manifest and documentation are all made from that.
The defaults are the seed; `presets.py` cites where each comes from.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import numbers

import numpy as np

from keras_dqn.schedules import PiecewiseSchedule

LARGEST_COUNT = 2**63 - 1  # what a NumPy counter holds


class SettingsError(ValueError):
    """A setting that no run can use.

    The message names the field, the rule and the value received; `field` is the
    name of the field (or of the unknown key) alone, for a program to use.
    """

    def __init__(self, message, field=None):
        super().__init__(message)
        self.field = field


def _setting(default, kind, help, **metadata):
    return dataclasses.field(
        default=default, metadata={"kind": kind, "help": help, **metadata}
    )


def _count(default, help, unit=None, low=1, high=LARGEST_COUNT, **metadata):
    """A whole number from `low` to `high`."""
    metadata = {"unit": unit, "low": low, "high": high, **metadata}
    return _setting(default, "count", help, **metadata)


def _number(default, help, unit=None, **metadata):
    """A finite number from `low` to `high`, above `above`."""
    return _setting(default, "number", help, unit=unit, **metadata)


def _probability(default, help, **metadata):
    return _number(default, help, low=0.0, high=1.0, **metadata)


def _flag(default, help, **metadata):
    return _setting(default, "flag", help, **metadata)


def _choice(default, help, choices, **metadata):
    return _setting(default, "choice", help, choices=choices, **metadata)


def _endpoints(default, help, **metadata):
    """Pairs (agent steps, value from 0 to 1); see `PiecewiseSchedule`."""
    return _setting(default, "endpoints", help, unit="agent steps:value", **metadata)


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
    env_id: str = _setting("Breakout", "text", "environment to play", flag="--env")
    num_envs: int = _count(8, "environments that play side by side", "environments")
    repeat_action_probability: float | None = _probability(
        None, "chance that the game repeats the last action", none="as the id says"
    )
    life_loss: str = _choice(
        "reset",
        "what a lost life does: `reset` ends the episode and restarts the game, "
        "`terminal` ends it for the target only, `ignore` nothing",
        ("reset", "terminal", "ignore"),
    )
    noop_max: int = _count(30, "most no-op frames at a game's start", "frames", low=0)
    clip_rewards: bool = _flag(False, "train on the sign of the reward")
    frame_skip: int = _count(4, "frames for which an action is held", "frames")
    max_episode_frames: int = _count(108_000, "time limit of an episode", "frames")
    full_action_space: bool = _flag(False, "offer all 18 joystick actions")
    fire_reset: bool = _flag(True, "press FIRE at a game's start, where it exists")

    # Replay.
    replay_kind: str = _choice(
        "prioritized",
        "how transitions are drawn (`uniform` has no alpha, beta or priorities)",
        ("prioritized", "uniform"),
    )
    replay_capacity: int = _count(2**14, "size of the replay memory", "transitions")
    alpha: float = _probability(0.6, "exponent of the priorities; 0 is uniform")
    priority_epsilon: float = _number(1e-6, "added to |TD error|", above=0.0)
    replay_device: str = _choice(
        "host",
        "where minibatches take frames from: `host` sends them with every update, "
        "`accelerator` keeps a copy of all frames beside the network, sends each "
        "once, and then only its number",
        ("host", "accelerator"),
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
        ("float32", "mixed_bfloat16", "mixed_float16"),
    )
    jit_compile: str = _choice(
        "auto",
        "whether XLA (TensorFlow), `jax.jit` or `torch.compile` compiles the step; "
        "`auto`: where it is faster",
        ("auto", "yes", "no"),
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
    seed: int = _count(7, "seed of every draw in the run", low=0, high=2**31 - 1)
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
        _check_schedules(self)
        _check_replay(self)
        _check_run(self)

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
        return type(self).from_dict({**_own_values(self), **changes})

    def to_dict(self):
        """Returns all fields by name, as values that JSON can hold."""
        values = _own_values(self)
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
            raise SettingsError(f"Settings must be a dict. Received: {_shown(values)}")
        for key in values:
            if not isinstance(key, str) or key not in FIELDS:
                raise _unknown(key, values[key])
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
    value_or_none = _CONVERTERS[metadata["kind"]](value, metadata)
    if value_or_none is None:
        raise SettingsError(
            f"`{name}` must be {rule(name)}. Received: {name}={_shown(value)}", name
        )
    return value_or_none


def rule(name):
    """Returns what values the field `name` takes, in words."""
    metadata = FIELDS[name].metadata
    text = {
        "count": "a whole number",
        "number": "a number" if "low" in metadata else "a finite number",
        "flag": "true or false",
        "text": "a name: printable, not empty, no spaces around it",
        "choice": "one of " + ", ".join(map(repr, metadata.get("choices", ()))),
        "endpoints": "a list of at least two pairs [agent steps, value], or empty: "
        "whole agent steps that rise strictly from 0, values from 0 to 1",
    }[metadata["kind"]]
    if "above" in metadata:
        text += f" > {metadata['above']:g}"
    if "low" in metadata:
        high = metadata["high"]
        high = "2**63 - 1" if high == LARGEST_COUNT else f"{high:.12g}"
        text += f" from {metadata['low']:g} to {high}"
    return f"{text}, or none ({metadata['none']})" if "none" in metadata else text


# Converters return `None` for a value that the field does not take.


def _to_count(value, metadata):
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        return None
    return int(value) if metadata["low"] <= value <= metadata["high"] else None


def _to_number(value, metadata):
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return None
    try:
        value = float(value)
    except OverflowError:
        return None
    is_in_range = metadata.get("low", -math.inf) <= value <= metadata.get("high", value)
    is_in_range = is_in_range and metadata.get("above", -math.inf) < value < math.inf
    return value if is_in_range else None


def _to_flag(value, metadata):
    return bool(value) if isinstance(value, bool | np.bool_) else None


def _to_text(value, metadata):
    is_name = isinstance(value, str) and value.isprintable()
    return str(value) if is_name and value and value == value.strip() else None


def _to_choice(value, metadata):
    is_choice = isinstance(value, str) and value in metadata["choices"]
    return str(value) if is_choice else None


def _to_endpoints(value, metadata):
    if not isinstance(value, list | tuple) or len(value) == 1:
        return None
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in value):
        return None
    steps = [_to_count(x, {"low": 0, "high": LARGEST_COUNT}) for x, _ in value]
    values = [_to_number(y, {"low": 0.0, "high": 1.0}) for _, y in value]
    if None in steps or None in values or steps[:1] not in ([], [0]):
        return None
    if any(x1 >= x2 for x1, x2 in zip(steps, steps[1:], strict=False)):
        return None
    return tuple(zip(steps, values, strict=True))


_CONVERTERS = {
    "count": _to_count,
    "number": _to_number,
    "flag": _to_flag,
    "text": _to_text,
    "choice": _to_choice,
    "endpoints": _to_endpoints,
}


def _require(is_so, rule, **received):
    if not is_so:
        received = {name: _shown(value) for name, value in received.items()}
        shown = ", ".join(f"{name}={value}" for name, value in received.items())
        raise SettingsError(f"{rule}. Received: {shown}", next(iter(received)))


def _check_schedules(settings):
    values = [y for _, y in settings.epsilon_endpoints] + [settings.epsilon_outside]
    _require(
        values == sorted(values, reverse=True),
        "`epsilon_endpoints` must never rise, nor end below `epsilon_outside`",
        epsilon_endpoints=settings.epsilon_endpoints,
        epsilon_outside=settings.epsilon_outside,
    )


def _check_replay(settings):
    capacity, num_envs = settings.replay_capacity, settings.num_envs
    received = {"replay_capacity": capacity, "num_envs": num_envs}
    _require(
        capacity > settings.n_steps * num_envs,
        "`replay_capacity` must be > `n_steps` * `num_envs`",
        **received,
        n_steps=settings.n_steps,
    )
    _require(
        capacity % num_envs == 0,
        "`replay_capacity` must be a multiple of `num_envs`, for example "
        f"{capacity // num_envs * num_envs}",
        **received,
    )

    for name in ("alpha", "priority_epsilon"):
        _require(
            settings.replay_kind == "prioritized"
            or getattr(settings, name) == FIELDS[name].default,
            f"`{name}` must be left alone with `replay_kind` 'uniform', which has no "
            "priorities",
            **{name: getattr(settings, name)},
            replay_kind=settings.replay_kind,
        )


def _check_run(settings):
    each = settings.env_steps_per_iteration
    _require(
        settings.updates_per_iteration % settings.updates_per_dispatch == 0,
        "`updates_per_dispatch` must divide `updates_per_iteration`",
        updates_per_dispatch=settings.updates_per_dispatch,
        updates_per_iteration=settings.updates_per_iteration,
    )
    _require(
        settings.env_steps >= each,
        "`env_steps` must be at least one iteration, "
        f"`num_envs` * `vector_steps_per_iteration` = {each} agent steps",
        env_steps=settings.env_steps,
        num_envs=settings.num_envs,
        vector_steps_per_iteration=settings.vector_steps_per_iteration,
    )
    _require(
        settings.stop_at_score is None
        or settings.evaluation_interval_iterations is not None,
        "`stop_at_score` needs `evaluation_interval_iterations`",
        stop_at_score=settings.stop_at_score,
        evaluation_interval_iterations=settings.evaluation_interval_iterations,
    )
    _check_learning_start(settings)


def _check_learning_start(settings):
    starts, capacity = settings.learning_starts, settings.replay_capacity
    is_given = settings.learning_starts_env_steps is not None
    name = "learning_starts_env_steps" if is_given else "replay_capacity"
    _require(
        starts <= capacity,
        "`learning_starts_env_steps` must be <= `replay_capacity`",
        learning_starts_env_steps=starts,
        replay_capacity=capacity,
    )
    _require(
        settings.batch_size <= starts,
        f"`batch_size` must be <= `{name}`",
        **{"batch_size": settings.batch_size, name: starts},
    )
    _require(
        settings.n_steps * settings.num_envs <= starts,
        f"`{name}` must be >= `n_steps` * `num_envs`, the steps until the replay "
        "has a whole transition",
        **{name: starts},
        n_steps=settings.n_steps,
        num_envs=settings.num_envs,
    )
    steps_taken = settings.iterations * settings.env_steps_per_iteration
    start = "" if is_given else ", or `learning_starts_env_steps` must be given"
    _require(
        starts <= steps_taken,
        f"This run would never train: `{name}` must be <= {steps_taken}, the "
        f"`env_steps` in whole iterations{start}",
        **{name: starts, "env_steps": settings.env_steps},
    )


def _own_values(settings):
    return {name: getattr(settings, name) for name in FIELDS}


def _unknown(key, value):
    near = nearest(key, FIELDS)
    hint = f" Did you mean `{near}`?" if near else ""
    shown = _shown(key).strip("'\"")
    return SettingsError(
        f"`{shown}` is not a setting.{hint} Received: {shown}={_shown(value)}",
        key if isinstance(key, str) else None,
    )


def nearest(name, names):
    """Returns the one of `names` that `name` starts or resembles, or `None`."""
    if not isinstance(name, str):
        return None
    longer = [known for known in names if len(name) > 2 and known.startswith(name)]
    near = longer or difflib.get_close_matches(name[:80], names, n=1)
    return near[0] if near else None


def _shown(value):
    """Returns a short one-line form of anything, even of what has no repr."""
    try:
        text = " ".join(repr(value).split())
    except (ValueError, RecursionError):  # giant integers, deep nesting
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else f"{text[:77]}..."
