"""A run in a directory: trains, saves, resumes, evaluates."""

import contextlib
import math
import os
import sys

import numpy as np

from keras_dqn import checkpoint
from keras_dqn import run_state
from keras_dqn import training
from keras_dqn.envs import make_evaluation_envs
from keras_dqn.monitor import JsonLines
from keras_dqn.monitor import Monitors
from keras_dqn.monitor import PlainConsole
from keras_dqn.monitor import TensorBoard
from keras_dqn.monitor import make_console
from keras_dqn.monitor.jsonl import last_env_steps
from keras_dqn.runs import provenance
from keras_dqn.runs.checkpoints import RunCheckpoints
from keras_dqn.runs.directory import RunDirectory
from keras_dqn.runs.evaluations import Evaluations
from keras_dqn.runs.parts import make_agent
from keras_dqn.runs.parts import make_training_envs
from keras_dqn.system import files
from keras_dqn.system import signals
from keras_dqn.system.lock import RunLock
from keras_dqn.system.watchdog import Watchdog


class TrainingRun:
    """A run in a directory: trains, saves, resumes, evaluates.

    Args:
        settings: `Settings`.
        out: `pathlib.Path` of the run directory; made when training starts.
        lock: `RunLock` of that directory, which the caller releases.
            Without one, `train` takes its own.

    Attributes:
        directory: `RunDirectory`.
        agent: `DQNAgent`.
        envs: Vector environments.
        state: `run_state.RunState`, once `train` was called.
        evaluations: `Evaluations`, likewise.

    Raises:
        ValueError, TypeError: If the parts do not fit together.
        MemoryError: If the replay does not fit into memory.
    """

    def __init__(self, settings, out, lock=None):
        self.settings = settings
        self.directory = RunDirectory(out)
        self._lock = lock
        self.state = None
        self._watchdog = Watchdog(out, settings.env_timeout_seconds)
        self.envs = make_training_envs(settings)
        try:
            self.agent = make_agent(settings, self.envs)
            self.agent.build(self.envs)
            info = self.agent.run_info(self.envs, settings)
        except BaseException:
            self.envs.close()
            raise
        self._provenance = provenance.Provenance(provenance.facts(info))

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._watchdog)
            stack.enter_context(self._watchdog.watching(self.envs))
            stack.callback(self.envs.close)
            self._closing = stack.pop_all()
        return self

    def __exit__(self, *exception):
        self._closing.close()

    @property
    def place(self):
        """Where the training is, in words that begin with a space; "" before."""
        if self.state is None:
            return ""
        env_steps = self.state.iteration * self.settings.env_steps_per_iteration
        return f" in iteration {self.state.iteration}, after {env_steps} agent steps"

    def train(
        self,
        console="auto",
        tensorboard=False,
        resume=False,
        exact=False,
        callbacks=(),
    ):
        """Trains to the end or to a request to stop, and saves.

        Args:
            console: String, see `monitor.make_console`.
            tensorboard: Boolean, whether event files are written.
            resume: Boolean, whether to go on from the newest checkpoint.
            exact: Boolean. With `resume`: from the newest checkpoint from which
                the run goes on as if it had never stopped.
            callbacks: See `DQNAgent.fit`; called before a checkpoint is saved.

        Returns:
            Boolean, whether the end was reached.

        Raises:
            OSError: If another process trains in the directory, if there is no
                checkpoint that can be read, or if no more can be written.
            FloatingPointError: If the weights are not finite.
        """
        lock = contextlib.nullcontext() if self._lock else RunLock(self.directory.path)
        with lock:
            return self._train(
                console, tensorboard, resume, exact, callbacks, self._lock or lock
            )

    def _train(self, console, tensorboard, resume, exact, callbacks, lock):
        interval = self.settings.log_interval_iterations
        monitors = [make_console(console, log_interval_iterations=interval)]
        monitors.append(JsonLines(self.directory.metrics, interval))
        if tensorboard:
            monitors.append(
                TensorBoard(self.directory.path, log_interval_iterations=interval)
            )
        monitors = Monitors(monitors)
        self.state = state = run_state.RunState.from_seed(self.settings.seed)
        monitors.message(f"Run directory: {self.directory}")
        if lock.taken_over:
            monitors.message(
                f"Warning: {lock.taken_over} had this directory, and is gone without "
                "having ended its run"
            )
        # What went wrong is said in any case.
        is_quiet = console == "none"
        alarm = PlainConsole(sys.stderr).message if is_quiet else monitors.message
        minutes = self.settings.checkpoint_interval_minutes
        saves = RunCheckpoints(
            self.directory.checkpoints, monitors.message, alarm, minutes
        )
        if not resume and not saves.is_empty():
            raise checkpoint.CheckpointError(
                f"{self.directory} holds the checkpoints of another run. Resume it, or "
                "train in a new directory"
            )
        self.evaluations = Evaluations(
            self.settings,
            self.evaluate,
            lambda: self._save_network(self.directory.best_network),
            monitors.message,
            alarm,
        )
        loaded = self._load(saves, state, monitors, exact) if resume else None
        self._write_settings()

        if loaded:
            monitors.message(loaded)
        saves.prepare(self._checkpoint_nbytes())

        def save_when_due(agent, progress):
            saves.poll()
            is_due = training.is_checkpoint_due(self.settings, state)
            if requests.take_save() or is_due or saves.is_due():
                self._begin_checkpoint(saves, state, progress)
            saves.wait_until_written(self.settings.vector_steps_per_iteration)

        def evaluate_when_due(agent, progress):
            return self.evaluations.after_iteration(state, progress.env_steps_done)

        say = PlainConsole().message  # for the time after `fit`
        # What is saved after the last iteration is not to be broken off either.
        with signals.handled(signals.COMMAND) as requests, saves:
            progress = None
            if self.evaluations.catch_up():
                say("The last evaluation had reached --stop-at-score")
                monitors.close()
            else:
                progress = self.agent.fit(
                    self.envs,
                    settings=self.settings,
                    state=state,
                    monitors=monitors,
                    callbacks=[evaluate_when_due, *callbacks, save_when_due],
                )
            saves.finish(say)  # the monitors are closed
            if progress is not None and saves.newest != progress.env_steps_done:
                self._begin_checkpoint(saves, state, progress)
                saves.finish(say)
            self._save_network(self.directory.network)
            if progress is not None and saves.newest != progress.env_steps_done:
                raise checkpoint.CheckpointError(
                    "The run's last checkpoint could not be saved; the network could: "
                    f"{self.directory.network}"
                )
        is_solved = self.evaluations.is_solved
        finished = is_solved or state.iteration >= self.settings.iterations
        say(
            ("" if finished else "Stopped. ") + f"Saved model: {self.directory.network}"
        )
        return finished

    def evaluate(self, number=0):
        """Plays whole games with the settings' epsilon.

        Args:
            number: Integer. Evaluations with different numbers play games with
                different seeds.

        Returns:
            `Evaluation`, or `None` if a request to stop broke it off.
        """
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

    def _save_network(self, path):
        """Saves under another name first, so that no half file has the name."""
        network = self.agent.network
        weights = {f"weight {i}": w for i, w in enumerate(network.get_weights())}
        _check_finite(weights)
        unfinished = path.with_name(".unfinished.keras")
        network.save(unfinished)
        files.flush(unfinished)
        os.replace(unfinished, path)
        files.flush_directory(path.parent)

    def _begin_checkpoint(self, saves, state, progress):
        parts = {
            "learner": self.agent.learner.state_dict(),
            "replay": self.agent.replay.state_dict(),
            "episodes": state.statistics.state_dict(),
        }
        _check_finite(parts["learner"])
        meta = {
            "run": state.to_meta(),
            "settings": self.settings.to_dict(),
            **self.evaluations.to_meta(),
            **self._provenance.to_meta(
                training.is_checkpoint_due(self.settings, state)
            ),
        }
        saves.begin(progress.env_steps_done, parts, meta)

    def _checkpoint_nbytes(self):
        """About how large a checkpoint is when the replay is full."""
        learner = self.agent.learner
        owners = (learner.network, learner.target_network, learner.optimizer)
        lengths = [math.prod(each.shape) for own in owners for each in own.variables]
        return self.agent.replay.nbytes + 4 * sum(lengths)

    def _load(self, saves, state, monitors, exact):
        """Takes the newest checkpoint over. Returns what there is to say of it."""
        is_wanted = (lambda meta: meta.get("exact")) if exact else None
        limits = {
            "learner": _limits_of(self.agent.learner.state_dict()),
            "replay": self.agent.replay.state_spec(),
            "episodes": state.statistics.state_spec(),
        }
        loaded = saves.load(is_wanted, limits)
        if loaded is None:
            self._check_none_lost()
            monitors.resume(0)
            return "No checkpoint yet: the run starts anew"
        path, parts, meta, notes = loaded
        try:
            self._provenance.check(meta, self.settings, exact)
            self._take_over(state, parts, meta)
            env_steps = state.iteration * self.settings.env_steps_per_iteration
            is_due = training.is_checkpoint_due(self.settings, state)
            changes = self._provenance.resume(meta, is_due, env_steps)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise checkpoint.CheckpointError(f"{path}: {error}") from None
        monitors.resume(env_steps)
        notes.append(f"Loaded model: {path} at {env_steps} agent steps")
        return "\n".join(notes + changes)

    def _check_none_lost(self):
        """A run without a checkpoint may start anew if it cannot have saved one.

        One that is killed during its first save is such a run: the second save,
        which is due an interval later, waits for the first.
        """
        settings, log = self.settings, self.directory.metrics
        logged = last_env_steps(log)
        second = 2 * settings.checkpoint_interval_iterations
        minutes = 2 * (settings.checkpoint_interval_minutes or math.inf)
        if logged >= second * settings.env_steps_per_iteration:
            witness = log.name
        elif logged and _minutes_between(self.directory.settings, log) >= minutes:
            witness = log.name
        elif logged and self.directory.network.exists():  # saved after a checkpoint
            witness = self.directory.network.name
        else:
            return
        raise checkpoint.CheckpointError(
            f"There is no checkpoint in {self.directory.checkpoints}, and {witness} is "
            "of a run that had saved one, or could save none. Bring it back, or train "
            "in a new directory"
        )

    def _take_over(self, state, parts, meta):
        self.evaluations.load_meta(meta)
        state.load_meta(meta["run"])
        state.statistics.load_state_dict(parts["episodes"])
        self.agent.learner.load_state_dict(parts["learner"])
        self.agent.replay.load_state_dict(parts["replay"])

    def _write_settings(self):
        settings = files.json_bytes(self.settings.to_dict())
        files.replace(self.directory.settings, settings + b"\n")


def _minutes_between(settings, log):
    """For how long a run has written its log, by the times of both files."""
    return (log.stat().st_mtime - settings.stat().st_mtime) / 60


def _limits_of(arrays):
    return {name: (array.dtype, array.shape) for name, array in arrays.items()}


def _check_finite(arrays):
    """Refuses to save over good checkpoints what nobody could go on from."""
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise FloatingPointError(
                "The learner must be finite to be saved: the network has diverged. "
                f"Received: NaN or infinity in {name}"
            )
