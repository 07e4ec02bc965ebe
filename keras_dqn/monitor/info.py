"""The description of a run that monitors receive before its first record."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class RunInfo:
    """What is trained, on which backend and device, and for how long.

    Attributes:
        env_id: Name of the environment, such as `"ALE/Breakout"`.
        backend: Keras backend: `"tensorflow"`, `"jax"` or `"torch"`.
        device: Name of the device, such as `"CPU"`.
        versions: Dict of package name to version. `"keras_dqn"` is shown first.
        env_options: Dict of all options of the environments. `frame_skip`, if
            present, is the number of emulator frames per agent step. `life_loss`
            determines `score_unit`.
        settings: Dict of the run's settings.
        replay_nbytes_when_full: Bytes that the full replay needs.
        total_env_steps: Agent steps, summed over all environments, at which the
            run ends.
        num_envs: Number of environments.
        seed: Seed of the run, or `None`.
    """

    env_id: str = ""
    backend: str = ""
    device: str = ""
    versions: dict = dataclasses.field(default_factory=dict)
    env_options: dict = dataclasses.field(default_factory=dict)
    settings: dict = dataclasses.field(default_factory=dict)
    replay_nbytes_when_full: int = 0
    total_env_steps: int = 0
    num_envs: int = 1
    seed: int | None = None

    @property
    def frame_skip(self) -> int | None:
        """Emulator frames per agent step, or `None` if there is no emulator."""
        return self.env_options.get("frame_skip")

    @property
    def score_unit(self) -> str:
        """What a score is the sum of rewards of: `"life"`, `"game"` or `"episode"`.

        With `life_loss="reset"` a lost life resets the game, so a score is that of a
        single life. It cannot be compared with scores of whole games.
        """
        life_loss = self.env_options.get("life_loss")
        if life_loss is None:
            return "episode"
        return "life" if life_loss == "reset" else "game"

    @property
    def score_units(self) -> str:
        """Plural of `score_unit`."""
        return {"life": "lives", "game": "games", "episode": "episodes"}[
            self.score_unit
        ]
