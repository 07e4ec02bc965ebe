"""What a run is: said once, before its first record."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class RunInfo:
    """What runs, on what, and how much of it.

    Attributes:
        env_id: The game, such as `"ALE/Breakout"`.
        backend: Keras backend: `"tensorflow"`, `"jax"` or `"torch"`.
        device: The device in words, such as `"CPU"`.
        versions: Dict of package name to version. `"keras_dqn"` is shown first.
        env_options: Dict of every resolved option of the environments.
            `frame_skip`, where there is one, turns agent steps into emulator
            frames; `life_loss` decides what one score is a score of.
        settings: Dict of the run's settings.
        replay_nbytes_when_full: Bytes that the replay takes when it is full.
        total_env_steps: Agent steps, over all environments, at which the run
            ends.
        num_envs: Environments that run side by side.
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
        """Emulator frames per agent step, or `None` where that has no meaning."""
        return self.env_options.get("frame_skip")

    @property
    def score_unit(self) -> str:
        """What one score is the score of: `"life"`, `"game"` or `"episode"`.

        Under `life_loss="reset"` a lost life ends the game, so that a score is
        that of a single life, and is not comparable to that of a whole game.
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
