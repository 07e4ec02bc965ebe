"""The facts of a run that monitors receive before its first record."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class RunInfo:
    """What is trained, on which backend and device, and for how long.

    Attributes:
        env_id: The game, such as `"ALE/Breakout"`.
        backend: Keras backend: `"tensorflow"`, `"jax"` or `"torch"`.
        device: The device in words, such as `"CPU"`.
        versions: Dict of package name to version. `"keras_dqn"` is shown first.
        env_options: Dict of every resolved option of the environments.
            `frame_skip`, if there is one, is the emulator frames per agent step.
            `life_loss` decides what a score is counted over.
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
        """Emulator frames per agent step, or `None` if there is no emulator."""
        return self.env_options.get("frame_skip")

    @property
    def score_unit(self) -> str:
        """What one score is counted over: a `"life"`, a `"game"` or an `"episode"`.

        With `life_loss="reset"` a lost life resets the game, so a score is that of a
        single life and cannot be compared with scores of whole games.
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
