"""The settings of published algorithms, for `presets`.

Each value is that of the paper at its head, where the comment says nothing else. All of
them play eight games at once, where the papers play one, with the papers' ratio of one
gradient step to four agent steps. `presets` adds the schedules.
"""

from __future__ import annotations

from typing import Any
from typing import NamedTuple


class Paper(NamedTuple):
    """A published algorithm.

    Attributes:
        title: String, in one line.
        source: String, where the values are from.
        exploration_env_steps: Integer, agent steps in which epsilon falls from 1 to
            its final value.
        learning_starts_env_steps: Integer.
        fields: Dictionary, fields of `Settings`.
    """

    title: str
    source: str
    exploration_env_steps: int
    learning_starts_env_steps: int
    fields: dict[str, Any]


# Of all papers: Mnih et al., 2015, extended data table 1.
_ALL = {
    "life_loss": "terminal",
    "clip_rewards": True,
    "replay_kind": "uniform",
    "replay_capacity": 1_000_000,
    "body": "nature",
    "hidden_units": 512,
    "dueling": False,
    "double_q": False,
    "target_sync_env_steps": 10_000,
    "clipnorm": None,
    "epsilon_final": 0.01,
    "evaluation_epsilon": 0.001,
    "checkpoint_interval_iterations": 31_250,  # 1,000,000 agent steps
}
# Adam in place of RMSProp, as in Dopamine, whose DQN scores higher with it.
_ADAM = {"learning_rate": 6.25e-5, "adam_epsilon": 1.5e-4}
_DOUBLE = {"double_q": True, "target_sync_env_steps": 30_000}
_PRIORITIZED = {"replay_kind": "prioritized", "alpha": 0.6}
_DISTRIBUTIONAL = 0.01 / 32  # epsilon of Adam

PAPERS = {
    "dqn2015": Paper(
        "DQN: uniform replay, the maximum of the target network",
        "Mnih et al., 2015, https://doi.org/10.1038/nature14236; Adam as in Dopamine",
        1_000_000,
        50_000,
        {**_ALL, **_ADAM, "epsilon_final": 0.1, "evaluation_epsilon": 0.05},
    ),
    "double_dqn": Paper(
        "DQN with double Q-learning",
        "van Hasselt et al., 2016, https://arxiv.org/abs/1509.06461, tuned version; "
        "Adam as in Dopamine",
        1_000_000,
        50_000,
        {**_ALL, **_ADAM, **_DOUBLE},
    ),
    "prioritized": Paper(
        "double DQN with prioritized replay",
        "Schaul et al., 2016, https://arxiv.org/abs/1511.05952, proportional variant",
        1_000_000,
        50_000,
        {**_ALL, **_ADAM, **_DOUBLE, **_PRIORITIZED},
    ),
    "dueling": Paper(
        "double DQN with prioritized replay and a dueling network",
        "Wang et al., 2016, https://arxiv.org/abs/1511.06581, section 4.2",
        1_000_000,
        50_000,
        {
            **_ALL,
            **_ADAM,
            **_DOUBLE,
            **_PRIORITIZED,
            "dueling": True,
            "clipnorm": 10.0,
            "clip_scope": "global",
        },
    ),
    "c51": Paper(
        "probabilities of 51 returns",
        "Bellemare et al., 2017, https://arxiv.org/abs/1707.06887; clipping of DQN Zoo",
        1_000_000,
        50_000,
        {
            **_ALL,
            "distribution": "categorical",
            "learning_rate": 2.5e-4,
            "adam_epsilon": _DISTRIBUTIONAL,
            "clipnorm": 10.0,
            "clip_scope": "global",
        },
    ),
    "qr_dqn": Paper(
        "200 quantiles of the return",
        "Dabney et al., 2018, https://arxiv.org/abs/1710.10044",
        1_000_000,
        50_000,
        {
            **_ALL,
            "distribution": "quantiles",
            "learning_rate": 5e-5,
            "adam_epsilon": _DISTRIBUTIONAL,
        },
    ),
    "m_dqn": Paper(
        "soft next actions, and their log-probability in the reward",
        "Vieillard et al., 2020, https://arxiv.org/abs/2007.14430, and its code",
        250_000,
        20_000,
        {
            **_ALL,
            "double_q": True,  # not read
            "munchausen": True,
            "learning_rate": 5e-5,
            "adam_epsilon": _DISTRIBUTIONAL,
            "target_sync_env_steps": 8_000,
            "life_loss": "ignore",
            "repeat_action_probability": 0.25,
        },
    ),
}
