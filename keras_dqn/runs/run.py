"""A run in a directory: lock, logs, checkpoints and evaluations around one `fit`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

from keras_dqn import checkpoint
from keras_dqn import presets
from keras_dqn import run_state
from keras_dqn.config import FIELDS
from keras_dqn.config import Settings
from keras_dqn.config import SettingsError
from keras_dqn.envs import VectorEnvs
from keras_dqn.envs import make_evaluation_envs
from keras_dqn.evaluation import Evaluation
from keras_dqn.monitor import JsonLines
from keras_dqn.monitor import Monitors
from keras_dqn.monitor import PlainConsole
from keras_dqn.monitor import TensorBoard
from keras_dqn.monitor import make_console
from keras_dqn.progress import Progress
from keras_dqn.runs import provenance
from keras_dqn.runs.checkpoints import RunCheckpoints
from keras_dqn.runs.checkpoints import check_none_lost
from keras_dqn.runs.directory import RunDirectory
from keras_dqn.runs.evaluations import Evaluations
from keras_dqn.runs.snapshot import Snapshot
from keras_dqn.runs.snapshot import check_finite
from keras_dqn.system import files
from keras_dqn.system import signals
from keras_dqn.system.lock import RunLock
from keras_dqn.system.watchdog import Watchdog

if TYPE_CHECKING:
    from keras_dqn.agent import DQNAgent


class Run:
    """A run in a directory. Environments and agent are made by the program:

    ```python
    with Run(settings, "runs/a", resume=True) as run:
        envs = keras_dqn.make_envs(...)
        agent = ...
        with run.training(agent, envs) as options:
            agent.fit(envs, **options)
        run.evaluate()
    ```

    Args:
        settings: `Settings`.
        out: Path of the run directory. It is made and locked by `__enter__`.
        console: String, see `monitor.make_console`.
        tensorboard: Boolean, whether to write event files.
        resume: Boolean, whether to continue from the newest checkpoint.
        exact: Boolean. With `resume`: from the newest checkpoint from which the run
            continues bit for bit as if it had never stopped.
        evaluation: Boolean, whether `evaluate` plays.
        callbacks: Callables, see `DQNAgent.fit`. They are called before a checkpoint
            is saved.

    Attributes:
        settings: `Settings`.
        directory: `RunDirectory`.
        state: `run_state.RunState`.
        evaluations: `Evaluations` while training.
        agent, envs: What `training` was given.
        has_begun: Boolean, whether agent and environments were found to fit together.
        was_stopped: Boolean, whether a request to stop ended the training, or the
            evaluation after it.

    Raises:
        ImportError: If `tensorboard` is asked for and tensorboardX is not installed.
        OSError: From `__enter__`: if another process trains in the directory, if it
            holds a run that is not resumed, or if it cannot be made.
    """

    def __init__(
        self,
        settings: Settings,
        out: str | os.PathLike[str],
        *,
        console: str = "auto",
        tensorboard: bool = False,
        resume: bool = False,
        exact: bool = False,
        evaluation: bool = True,
        callbacks: Sequence[Callable[[DQNAgent, Progress], Any]] = (),
    ) -> None:
        self.settings = settings
        self.directory = RunDirectory(out)
        self.state = run_state.RunState.from_seed(settings.seed)
        self._monitors = self._make_monitors(console, tensorboard)
        self._callbacks = [self._evaluate_when_due, *callbacks, self._save_when_due]
        self.agent: DQNAgent
        self.envs: VectorEnvs
        self.has_begun = self.was_stopped = False
        self._is_quiet, self._has_console = console == "none", True
        self._resumes, self._is_exact, self._plays = resume, exact, evaluation
        self.evaluations = Evaluations(
            settings, self._play, self._save_best, self.log, self.warn
        )
        self._checkpoints = RunCheckpoints(
            self.directory.checkpoints,
            self.log,
            self.warn,
            settings.checkpoint_interval_minutes,
        )
        self._watchdog = Watchdog(self.directory.hang, settings.env_timeout_seconds)

    def __enter__(self) -> Run:
        with contextlib.ExitStack() as stack:
            self._lock = stack.enter_context(RunLock(self.directory.path))
            if not self._resumes and self.directory.holds_a_run():
                raise FileExistsError(
                    "The run directory must be new or empty, unless the run in it is "
                    f"resumed. Received: {self.directory}"
                )
            stack.enter_context(self._watchdog)
            self._closing = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.close()

    @property
    def place(self) -> str:
        """Where the training is, in words that begin with a space; "" before it."""
        if not self.has_begun:
            return ""
        return (
            f" in iteration {self.state.iteration}, after {self._env_steps} agent steps"
        )

    def log(self, text: str) -> None:
        """Shows a line of text, on standard output once `fit` is over."""
        (self._monitors if self._has_console else PlainConsole()).message(text)

    def warn(self, text: str) -> None:
        """Shows a line of text even where there is no console."""
        (PlainConsole(sys.stderr).message if self._is_quiet else self.log)(text)

    @contextlib.contextmanager
    def training(self, agent: DQNAgent, envs: VectorEnvs) -> Iterator[dict[str, Any]]:
        """Resumes before its body, which calls `agent.fit`, and saves after it.

        What it saves is the last checkpoint and the network. It closes `envs`.

        A run that had reached `stop_at_score` already is not trained: `fit` takes no
        step then.

        Args:
            agent: Compiled `DQNAgent`.
            envs: Vector environments.

        Yields:
            Dictionary, the options of `fit`: `settings`, `state`, `monitors` and
            `callbacks`.

        Raises:
            ValueError, TypeError: If agent and environments do not fit together, or
                if they do not take a setting.
            MemoryError: If the replay does not fit into memory.
            OSError: If there is no checkpoint that can be read, or if none could be
                written.
            FloatingPointError: If a weight is NaN or infinite.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._watchdog.watching(envs))
            stack.callback(envs.close)
            self._take(agent, envs)
            self.has_begun = True
            self._start()
            # Signals must not break off what is saved after `fit` either.
            self._requests = stack.enter_context(signals.handled(signals.COMMAND))
            stack.enter_context(self._checkpoints)
            stack.callback(self._leave_console)
            options = {
                "settings": self.settings,
                "state": self.state,
                "monitors": self._monitors,
                "callbacks": self._callbacks,
            }
            if self.evaluations.catch_up():
                self._leave_console()
                self.log("The last evaluation had reached --stop-at-score")
                options["settings"] = self.settings.replace(env_steps=self._env_steps)
                options["monitors"] = None
            before = self.state.iteration
            yield options
            self._leave_console()
            self._finish(self.state.iteration > before)

    def evaluate(self) -> Evaluation | None:
        """Plays whole games and shows their scores, once the training is over.

        Returns:
            `Evaluation`, or `None` if the training was stopped, if the run is to be
            without, or if a request to stop broke the games off.
        """
        if self.was_stopped or not self._plays:
            return None
        result = self._play(0)
        self.was_stopped = result is None
        self.log(str(result or "Stopped before the evaluation was over."))
        return result

    def _make_monitors(self, console, tensorboard):
        interval = self.settings.log_interval_iterations
        monitors = [make_console(console, log_interval_iterations=interval)]
        monitors.append(JsonLines(self.directory.metrics, interval))
        if tensorboard:
            monitors.append(
                TensorBoard(self.directory.path, log_interval_iterations=interval)
            )
        return Monitors(monitors)

    @property
    def _env_steps(self):
        return self.state.iteration * self.settings.env_steps_per_iteration

    def _take(self, agent, envs):
        """Refuses what was not made by the settings. Writes nothing."""
        make_evaluation_envs(envs).close()  # now, not after hours
        agent.build(envs)
        actual = presets.for_fit(envs, agent.replay, self.settings, {})
        for name in FIELDS:
            wanted, used = getattr(self.settings, name), getattr(actual, name)
            # The environments resolve their id, and what depends on it.
            if used != wanted and wanted is not None and name != "env_id":
                raise SettingsError(
                    f"`{name}` cannot be changed in this program, which uses {used!r}. "
                    f"`keras-dqn train` takes it. Received: {name}={wanted!r}",
                    name,
                )
        self.agent, self.envs = agent, envs
        past = provenance.Provenance(
            provenance.facts(agent.run_info(envs, self.settings))
        )
        self._snapshot = Snapshot(
            self.settings, agent, self.state, self.evaluations, past
        )

    def _start(self):
        """Resumes if that was asked for, and prepares the directory."""
        self.log(f"Run directory: {self.directory}")
        if self._lock.taken_over:
            self.log(
                f"Warning: {self._lock.taken_over} had this directory, and is gone "
                "without having ended its run"
            )
        if self._resumes:
            self._load()
        settings = files.json_bytes(self.settings.to_dict())
        files.replace(self.directory.settings, settings + b"\n")
        self._checkpoints.prepare(self._snapshot.nbytes_when_full)

    def _load(self):
        """Restores the newest checkpoint, if there is one."""
        is_wanted = (lambda meta: meta.get("exact")) if self._is_exact else None
        loaded = self._checkpoints.load(is_wanted, self._snapshot.spec())
        if loaded is None:
            check_none_lost(self.directory, self.settings)
            self._monitors.resume(0)
            self.log("No checkpoint yet: the run starts anew")
            return
        path, parts, meta, notes = loaded
        try:
            changes = self._snapshot.restore(parts, meta, self._is_exact)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise checkpoint.CheckpointError(f"{path}: {error}") from None
        self._monitors.resume(self._env_steps)
        notes.append(f"Loaded model: {path} at {self._env_steps} agent steps")
        self.log("\n".join(notes + changes))

    def _leave_console(self):
        self._monitors.close()
        self._has_console = False

    def _evaluate_when_due(self, agent, progress):
        return self.evaluations.after_iteration(self.state, progress.env_steps_done)

    def _save_when_due(self, agent, progress):
        saves = self._checkpoints
        saves.poll()
        if self._requests.take_save() or self._snapshot.is_due or saves.is_due():
            self._begin_checkpoint()
        saves.wait_until_written(self.settings.vector_steps_per_iteration)

    def _begin_checkpoint(self):
        parts, meta = self._snapshot.parts(), self._snapshot.meta()
        self._checkpoints.begin(self._env_steps, parts, meta)

    def _finish(self, has_trained):
        """Saves the last checkpoint, if there is something new, and the network."""
        saves, path = self._checkpoints, self.directory.network
        saves.finish()
        if has_trained and saves.newest != self._env_steps:
            self._begin_checkpoint()
            saves.finish()
        self._save_network(path)
        if has_trained and saves.newest != self._env_steps:
            raise checkpoint.CheckpointError(
                "The run's last checkpoint could not be saved; the network could: "
                f"{path}"
            )
        is_over = (
            self.evaluations.is_solved
            or self.state.iteration >= self.settings.iterations
        )
        self.was_stopped = not is_over
        self.log(("" if is_over else "Stopped. ") + f"Saved model: {path}")

    def _play(self, number):
        """Plays whole games with seeds that depend on `number`; `None` if stopped."""
        episodes = self.settings.evaluation_episodes
        envs = make_evaluation_envs(self.envs, min(episodes, 8))
        with (
            signals.handled(signals.COMMAND) as requests,
            self._watchdog.watching(envs),
            envs,
        ):
            return self.agent.evaluate(
                envs,
                episodes,
                epsilon=self.settings.evaluation_epsilon,
                seed=(self.settings.seed, number),
                stop=lambda: requests.stop,
            )

    def _save_best(self):
        self._save_network(self.directory.best_network)

    def _save_network(self, path):
        """Saves atomically: under another name first, which is then renamed."""
        network = self.agent.network
        weights = {f"weight {i}": w for i, w in enumerate(network.get_weights())}
        check_finite(weights)
        unfinished = self.directory.unfinished_network
        network.save(unfinished)
        files.flush(unfinished)
        os.replace(unfinished, path)
        files.flush_directory(path.parent)
