"""The names of the files in a run directory."""

from __future__ import annotations

import os
import pathlib

from keras_dqn.system.lock import RunLock


class RunDirectory:
    """The paths in the directory of one run.

    Args:
        path: Path of the directory, which may not exist yet.

    Attributes:
        path: `pathlib.Path` of the directory.
        settings: `settings.json`, the run's `Settings`.
        metrics: `metrics.jsonl`, one record for each logged iteration.
        checkpoints: `checkpoints/`, see `checkpoint.Store`.
        network: `network.keras`, the network at the end or after Ctrl-C.
        best_network: `best.keras`, the network with the best evaluation while training.
        unfinished_network: `.unfinished.keras`, a network that is being saved.
        hang: `hang.txt`, the stack of every thread, if an environment hung.
        digests: `digests.json`, SHA-256 of every part at the end (`verify-resume`).
        iteration_digests: `iteration-digests.jsonl`, the same for each iteration.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = pathlib.Path(path)
        self.settings = self.path / "settings.json"
        self.metrics = self.path / "metrics.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.network = self.path / "network.keras"
        self.best_network = self.path / "best.keras"
        self.unfinished_network = self.path / ".unfinished.keras"
        self.hang = self.path / "hang.txt"
        self.digests = self.path / "digests.json"
        self.iteration_digests = self.path / "iteration-digests.jsonl"

    def __str__(self) -> str:
        return str(self.path)

    def holds_a_run(self) -> bool:
        """Whether the directory has files of a run, apart from lock files."""
        if not self.path.exists():
            return False
        return any(file.name not in RunLock.NAMES for file in self.path.iterdir())
