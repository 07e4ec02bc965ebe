"""A run in a directory: lock, logs, checkpoints and evaluations around one `fit`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

from keras_dqn import checkpoint
from keras_dqn import presets
from keras_dqn import run_state
from keras_dqn.config import FIELDS
from keras_dqn.config import Settings
from keras_dqn.envs import VectorEnvs
from keras_dqn.envs import make_evaluation_envs
from keras_dqn.evaluation import Evaluation
from keras_dqn.monitor import Monitor
from keras_dqn.runs import provenance
from keras_dqn.runs.checkpoints import RunCheckpoints
from keras_dqn.runs.checkpoints import check_none_lost
from keras_dqn.runs.directory import RunDirectory
from keras_dqn.runs.evaluations import Evaluations
from keras_dqn.runs.evaluations import final_evaluation
from keras_dqn.runs.length import LengthHint
from keras_dqn.runs.monitors import RunMonitors
from keras_dqn.runs.snapshot import Snapshot
from keras_dqn.runs.snapshot import save_network
from keras_dqn.system import files
from keras_dqn.system import signals
from keras_dqn.system.lock import RunLock
from keras_dqn.system.watchdog import Watchdog

if TYPE_CHECKING:
    from keras_dqn.agent import DQNAgent
    from keras_dqn.monitor.keras_callbacks import Callback


class Run:
    """A run in a directory. The program creates environments and agent:

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
        out: Path of the run directory. `__enter__` creates and locks it.
        console: String, see `monitor.make_console`.
        tensorboard: Boolean, whether to write event files, if there are none yet.
        resume: Boolean, whether to continue from the newest checkpoint.
        exact: Boolean. With `resume`: from the newest checkpoint from which the run
            continues bit for bit as if it had never stopped.
        evaluation: Boolean, whether `evaluate` plays games.
        monitors: List of further `monitor.Monitor`s, such as `monitor.Sink`.
        callbacks: See `DQNAgent.fit`. They are called after a due evaluation and before
            a due checkpoint.

    Attributes:
        settings: `Settings`.
        directory: `RunDirectory`.
        state: `run_state.RunState`.
        evaluations: `Evaluations` during training.
        agent, envs: The arguments of `training`.
        has_begun: Boolean, whether `training` has accepted agent and environments.
        was_stopped: Boolean, whether a request to stop ended training, or the
            evaluation after it.

    Raises:
        ImportError: If `tensorboard` is true and tensorboardX is not installed.
        OSError: In `__enter__`, if another process trains in the directory, if it
            has a run that is not resumed, or if it cannot be created.
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
        monitors: Sequence[Monitor] = (),
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.settings = settings
        self.directory = RunDirectory(out)
        self.state = run_state.RunState.from_seed(settings.seed)
        self._monitors = RunMonitors(
            self.directory, settings, console, tensorboard, resume, monitors
        )
        before = [LengthHint(settings, self.log), self._evaluate_when_due]
        self._callbacks = [*before, *callbacks, self._save_when_due]
        self.agent: DQNAgent
        self.envs: VectorEnvs
        self.has_begun = self.was_stopped = False
        self._final: Evaluation | None = None  # played before, if the run had ended
        self._resumes, self._is_exact, self._evaluates = resume, exact, evaluation
        self.evaluations = Evaluations(
            settings,
            self._play,
            self._save_best,
            self.log,
            self._monitors.warn,
            lambda steps, result: self._monitors.evaluation(steps, result, False),
        )
        self._checkpoints = RunCheckpoints(
            self.directory.checkpoints,
            self.log,
            self._monitors.warn,
            settings.checkpoint_interval_minutes,
        )
        self._watchdog = Watchdog(self.directory.hang, settings.env_timeout_seconds)

    def __enter__(self) -> Run:
        with contextlib.ExitStack() as stack:
            self._lock = stack.enter_context(RunLock(self.directory.path))
            if not self._resumes and self.directory.holds_a_run():
                raise FileExistsError(
                    "The run directory must be new or empty, unless its run is "
                    f"resumed. Received: {self.directory}"
                )
            stack.enter_context(self._watchdog)
            self._closing = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.close()

    @property
    def position(self) -> str:
        """The current iteration as text for messages, with a leading space, or ""."""
        if not self.has_begun:
            return ""
        return (
            f" in iteration {self.state.iteration}, after {self._env_steps} agent steps"
        )

    def log(self, text: str) -> None:
        """Shows a line of text: on the console, or standard output after `fit`."""
        self._monitors.log(text)

    @contextlib.contextmanager
    def training(self, agent: DQNAgent, envs: VectorEnvs) -> Iterator[dict[str, Any]]:
        """A context for `agent.fit`: resumes the run before it, and saves it after.

        At the end, a last checkpoint and the network are saved, and `envs` is closed.
        If the run has already reached `stop_at_score`, `fit` takes no steps.

        Args:
            agent: Compiled `DQNAgent`.
            envs: Vector environments.

        Yields:
            Dictionary, the options of `fit`: `settings`, `state`, `monitors` and
            `callbacks`.

        Raises:
            ValueError, TypeError: If agent and environments do not fit each other or
                the settings.
            MemoryError: If the replay does not fit into memory.
            OSError: If no checkpoint could be read, or checkpoints could not be
                written.
            FloatingPointError: If a weight is NaN or infinite.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._watchdog.watching(envs))
            stack.callback(envs.close)
            self._check_and_set(agent, envs)
            self.has_begun = True
            self._start()
            # Until the end, so that signals do not interrupt the saves after `fit`.
            self._requests = stack.enter_context(signals.handled(signals.COMMAND))
            stack.enter_context(self._checkpoints)
            stack.callback(self._monitors.close)
            options = {
                "settings": self.settings,
                "state": self.state,
                "monitors": self._monitors,
                "callbacks": self._callbacks,
            }
            was_pending = self.evaluations.is_pending
            self.evaluations.catch_up()
            has_evaluated = was_pending and not self.evaluations.is_pending
            if self._is_over:
                self._monitors.close()
                options |= self._without_training()
            before = self.state.iteration
            self._monitors.shows_games = not self._is_over
            yield options
            self._monitors.close()
            self._finish(has_evaluated or self.state.iteration > before)

    def evaluate(self) -> Evaluation | None:
        """Plays whole games after training. Shows and logs their scores.

        Returns:
            `Evaluation`, or `None` if training was stopped, if `evaluation` is false,
            or if a request to stop aborted the evaluation.
        """
        if self.was_stopped or not self._evaluates:
            return None
        if self._final is not None:
            self.log(f"The final evaluation, from the log: {self._final}")
            return self._final
        result = self._play(0)
        self.was_stopped = result is None
        if result is not None:
            self._monitors.evaluation(self._env_steps, result, is_final=True)
        self.log(str(result or "Stopped before the end of the evaluation."))
        return result

    @property
    def _is_over(self):
        is_solved = self.evaluations.is_solved
        return is_solved or self.state.iteration >= self.settings.iterations

    @property
    def _env_steps(self):
        return self.state.iteration * self.settings.env_steps_per_iteration

    def _check_and_set(self, agent, envs):
        """Checks agent and environments against the settings. Writes nothing."""
        make_evaluation_envs(envs).close()  # fail now, not after training
        agent.build(envs)
        actual = presets.for_fit(envs, agent.replay, self.settings, {})
        used = {name: getattr(actual, name) for name in FIELDS}
        used |= agent.used_settings(self.settings, envs)
        provenance.check_used(self.settings, used)
        self.agent, self.envs = agent, envs
        past = provenance.Provenance(
            provenance.facts(agent.run_info(envs, self.settings))
        )
        self._snapshot = Snapshot(
            self.settings, agent, self.state, self.evaluations, past
        )

    def _start(self):
        """Resumes the run if `resume` is true, and prepares the directory."""
        self.log(f"Run directory: {self.directory}")
        if self._lock.taken_over:
            self.log(
                f"Warning: {self._lock.taken_over} was using this directory and ended "
                "without releasing it"
            )
        if self._monitors.warning is not None:
            self._monitors.warn(self._monitors.warning)
        if self._resumes:
            self._load()
        settings = files.json_bytes(self.settings.to_dict())
        files.replace(self.directory.settings, settings + b"\n")
        self._checkpoints.prepare(self._snapshot.nbytes_when_full)

    def _load(self):
        """Restores the newest checkpoint, if there is one."""
        is_wanted = self._snapshot.goes_on_exactly if self._is_exact else None
        loaded = self._checkpoints.load(is_wanted, self._snapshot.spec())
        if loaded is None:
            check_none_lost(self.directory, self.settings)
            self._monitors.resume(0)
            self.log("No checkpoint yet: the run starts from the beginning")
            return
        path, parts, meta, notes = loaded
        try:
            changes = self._snapshot.restore(parts, meta, self._is_exact)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise checkpoint.CheckpointError(f"{path}: {error}") from None
        if self._is_over and not self.evaluations.is_pending:
            log, steps = self.directory.metrics, self._env_steps
            self._final = final_evaluation(log, steps, self.settings, self.envs)
        if self._final is None:
            self._monitors.resume(self._env_steps)
        notes.append(f"Loaded checkpoint: {path} at {self._env_steps} agent steps")
        self.log("\n".join(notes + changes))

    def _without_training(self):
        """Returns the options of a `fit` that takes no steps, and says so."""
        why = "The run had reached --stop-at-score before"
        if not self.evaluations.is_solved:
            why = "The run has ended. To continue it, give a larger --env-steps"
        self.log(why)
        settings = self.settings.replace(env_steps=self._env_steps)
        return {"settings": settings, "monitors": None}

    def _evaluate_when_due(self, agent, progress):
        return self.evaluations.after_iteration(self.state, progress.env_steps_done)

    def _save_when_due(self, agent, progress):
        saves = self._checkpoints
        saves.poll()
        if self._requests.take_save() or self._snapshot.is_due or saves.is_due():
            self._begin_checkpoint()
        saves.wait_until_written(self.settings.vector_steps_per_iteration)

    def _begin_checkpoint(self):
        self._monitors.phase("saving")
        parts, meta = self._snapshot.parts(), self._snapshot.meta()
        self._checkpoints.begin(self._env_steps, parts, meta)

    def _finish(self, has_news):
        """Saves the network, and a last checkpoint if there is anything new in it."""
        saves, path = self._checkpoints, self.directory.network
        saves.finish()
        if has_news and saves.newest != self._env_steps:
            self._begin_checkpoint()
            saves.finish()
        self._save_network(path)
        if has_news and saves.newest != self._env_steps:
            raise checkpoint.CheckpointError(
                "The run's last checkpoint could not be saved, but the network was "
                f"saved: {path}"
            )
        self.was_stopped = not self._is_over or self.evaluations.is_pending
        how = "Solved. " if self.evaluations.is_solved else ""
        self.log(f"{how if self._is_over else 'Stopped. '}Saved network: {path}")

    def _play(self, number):
        """Plays whole games with seeds from `number`. `None` if it was aborted."""
        episodes = self.settings.evaluation_episodes
        envs = make_evaluation_envs(self.envs, min(episodes, 8))
        with (
            signals.handled(signals.COMMAND) as requests,
            self._watchdog.watching(envs),
            self._monitors.games_shown() as on_game,
            envs,
        ):
            return self.agent.evaluate(
                envs,
                episodes,
                epsilon=self.settings.evaluation_epsilon,
                seed=(self.settings.seed, number),
                stop=lambda: requests.stop,
                on_game=on_game,
            )

    def _save_best(self):
        self._save_network(self.directory.best_network)

    def _save_network(self, path):
        save_network(self.agent.q_network, path, self.directory.unfinished_network)
