"""Rules between the fields of `Settings`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_dqn.config.settings import Settings


# Settings that are read only if another one has some value. Elsewhere they must be left
# at their defaults, so that none is silently ignored.
READ_BY: dict[tuple[str, tuple[object, ...]], tuple[str, ...]] = {
    ("replay_kind", ("prioritized",)): ("alpha", "priority", "priority_epsilon"),
    ("distribution", ("categorical",)): ("atoms", "value_low", "value_high"),
    ("distribution", ("quantiles",)): ("quantiles",),
    ("distribution", ("scalar", "quantiles")): ("huber_delta",),
    ("munchausen", (True,)): (
        "munchausen_alpha",
        "munchausen_tau",
        "munchausen_clip",
    ),
    ("munchausen", (False,)): ("double_q",),
}


def rules(settings: Settings) -> Iterator[tuple[bool, str]]:
    """Yields pairs: whether a rule between fields is met, and the rule as text.

    The error names the first field in the text.
    """
    fields = settings.__dataclass_fields__
    epsilons = [y for _, y in settings.epsilon_endpoints] + [settings.epsilon_final]
    yield (
        epsilons == sorted(epsilons, reverse=True),
        "`epsilon_endpoints` must not rise, nor end below `epsilon_final`",
    )
    capacity, num_envs = settings.replay_capacity, settings.num_envs
    first_transition = settings.n_steps * num_envs  # agent steps until there is one
    yield (
        capacity > first_transition,
        "`replay_capacity` must be > `n_steps` * `num_envs`",
    )
    yield (
        capacity % num_envs == 0,
        "`replay_capacity` must be a multiple of `num_envs`, for example "
        f"{capacity // num_envs * num_envs}",
    )
    for (owner, values), names in READ_BY.items():
        for name in names:
            is_read = getattr(settings, owner) in values
            yield (
                is_read or getattr(settings, name) == fields[name].default,
                f"`{name}` must not be set unless `{owner}` is "
                f"{' or '.join(map(str, values))}: it would be ignored",
            )
    yield (
        settings.priority != "kl" or settings.distribution == "categorical",
        "`priority` 'kl' needs `distribution` categorical",
    )
    yield (
        settings.value_low < settings.value_high,
        "`value_low` must be below `value_high`",
    )
    yield (
        settings.updates_per_iteration % settings.updates_per_dispatch == 0,
        "`updates_per_dispatch` must divide `updates_per_iteration`",
    )
    each = settings.env_steps_per_iteration
    yield (
        settings.iterations >= 1,
        f"`env_steps` must be at least one iteration: {each} agent steps, `num_envs` * "
        "`vector_steps_per_iteration`",
    )
    yield (
        settings.stop_at_score is None
        or settings.evaluation_interval_iterations is not None
        or settings.evaluation_interval_minutes is not None,
        "`stop_at_score` needs `evaluation_interval_iterations` or "
        "`evaluation_interval_minutes`",
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
        f"`{name}` must be >= `n_steps` * `num_envs`, the steps before the replay "
        "has its first transition",
    )
