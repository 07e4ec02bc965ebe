"""`DQNAgent`: a network, a replay and a learner, with Keras's method names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

import keras

from keras_dqn import checks
from keras_dqn import interfaces
from keras_dqn import presets
from keras_dqn import run_state
from keras_dqn import training
from keras_dqn import used_settings
from keras_dqn.algorithms.arguments import Compiled
from keras_dqn.algorithms.arguments import from_settings
from keras_dqn.backend import DeviceFrames
from keras_dqn.backend import Learner
from keras_dqn.backend import backend_versions
from keras_dqn.backend import device_name
from keras_dqn.choices import Choices
from keras_dqn.config import Settings
from keras_dqn.envs import AnyEnv
from keras_dqn.envs import VectorEnvs
from keras_dqn.envs import as_envs
from keras_dqn.envs.arguments import check_envs
from keras_dqn.exploration import epsilon_greedy
from keras_dqn.models.checking import check_fits
from keras_dqn.models.checking import check_given
from keras_dqn.models.checking import check_network
from keras_dqn.models.single_input import Observation
from keras_dqn.models.single_input import has_single_input
from keras_dqn.models.single_input import single_input
from keras_dqn.monitor import Monitor
from keras_dqn.monitor import RunInfo
from keras_dqn.monitor import make_console
from keras_dqn.monitor.arguments import as_monitor
from keras_dqn.monitor.arguments import check_callbacks
from keras_dqn.monitor.keras_callbacks import Callback
from keras_dqn.monitor.keras_callbacks import called
from keras_dqn.player import Player
from keras_dqn.progress import divergence_warning
from keras_dqn.replay.arguments import as_replay
from keras_dqn.replay.arguments import stored_by
from keras_dqn.saved_agent import Savable
from keras_dqn.system import signals
from keras_dqn.system.versions import versions

if TYPE_CHECKING:
    from keras_dqn.progress import Progress
    from keras_dqn.replay.base import Replay


class DQNAgent(Player, Savable):
    """Trains a Keras network by deep Q-learning with experience replay.

    ```python
    envs = keras_dqn.make_envs("Breakout", num_envs=8, seed=0)
    network = keras_dqn.models.dueling_cnn(num_actions=envs.num_actions)
    agent = keras_dqn.DQNAgent(network)
    agent.compile(optimizer=keras.optimizers.Adam(1e-4, clipnorm=10.0))
    agent.fit(envs, env_steps=1_000_000)
    agent.evaluate("Breakout", episodes=30)
    agent.network.save("breakout.keras")
    ```

    Args:
        network: `keras.Model` with an output `(batch, actions)`. It is trained in
            place. With several inputs, they are the parts of a `Dict` or `Tuple`
            observation, see `models.single_input`.
        replay: `PrioritizedReplay`, `UniformReplay`, or one of your own, see
            `interfaces.Replay`. Default: prioritized, with a capacity of 2**14
            transitions.

    Raises:
        TypeError, ValueError: If `network` cannot be trained, see `DQN`.
    """

    def __init__(self, network: keras.Model, replay: Replay | None = None) -> None:
        check_given(network)
        super().__init__()
        self._network = network
        self.replay = as_replay(replay)
        self._compiled: Compiled | None = None
        self._learner: Learner | None = None
        self._stored: dict[str, Any] | None = None  # of the last `build`
        self._fits = 0

    @property
    def network(self) -> keras.Model:
        """The online network, with up-to-date variables."""
        if self._learner is not None:
            self._learner.sync_variables()
        return self._network

    @property
    def _distribution(self):
        return None if self._compiled is None else self._compiled.distribution

    @property
    def learner(self) -> Learner:
        """The `Learner`, which `build` or `fit` creates."""
        if self._learner is None:
            raise RuntimeError("Call `build` or `fit` before using `learner`.")
        return self._learner

    def compile(
        self,
        optimizer: keras.optimizers.Optimizer | str | dict[str, Any] | None = None,
        *,
        double_q: bool = True,
        huber_delta: float = 1.0,
        backup: interfaces.Backup | str | None = None,
        distribution: interfaces.Distribution | None = None,
        jit_compile: bool | str = "auto",
    ) -> None:
        """Configures training. Training that was already done is kept.

        Args:
            optimizer: Keras optimizer, or its name or configuration. Default: Adam
                (learning rate 1e-4, epsilon 1e-8, clipnorm 10).
            double_q: Boolean. Whether the next action in a target is chosen by the
                online network (double Q-learning) or by the target network.
            huber_delta: Positive float, see `algorithms.distributions.Scalar`.
            backup: Which next action targets are computed for, in place of `double_q`:
                `"double"`, `"greedy"` or an object of your own, see `interfaces`.
            distribution: What the outputs mean. Default: `Scalar(huber_delta)`.
            jit_compile: `"auto"`, `True` or `False`, see `Learner`.

        Raises:
            TypeError, ValueError: If an argument cannot be used.
        """
        self._compiled = Compiled.of(
            optimizer, double_q, huber_delta, backup, distribution, jit_compile
        )
        if self._learner is not None:
            self._learner.sync_variables()  # keeps the trained weights
        self._learner, self._extensions = None, {}

    def compile_for(self, settings: Settings) -> None:
        """Calls `compile` with what `settings` say."""
        self.compile(**from_settings(settings))

    def used_settings(self, settings: Settings, envs: VectorEnvs) -> dict[str, Any]:
        """Returns the values that the agent has of fields of `settings`, if known."""
        found = used_settings.of_network(self._network, settings, envs)
        return found | used_settings.of_compiled(self._compiled)

    def build(self, envs: VectorEnvs) -> None:
        """Allocates the replay and creates the learner for the environments.

        `fit` calls it. Further calls with the same shapes change nothing.

        Args:
            envs: Vector environments, see `make_envs`.

        Raises:
            RuntimeError: If `compile` was not called.
            ValueError: If network or replay do not fit the environments.
            MemoryError: If the replay does not fit into memory.
        """
        check_envs(envs, self._training_envs)
        if self._compiled is None:
            raise RuntimeError("Call `compile` before `build` or `fit`.")
        observation = Observation.of(envs)
        check_fits(self._trained(observation), envs)
        self.replay.build(**stored_by(envs))
        self._stored = {**stored_by(envs), "dtype": str(envs.observation_dtype)}
        self._build_learner(envs.frame_stack, observation)
        self._envs = envs

    def fit(
        self,
        envs: AnyEnv,
        env_steps: int | None = None,
        *,
        settings: Settings | None = None,
        state: run_state.RunState | None = None,
        monitors: Monitor | interfaces.Monitor | str | None = "auto",
        callbacks: Sequence[Callback] = (),
        exploration: interfaces.Exploration = epsilon_greedy,
        epsilon: interfaces.Schedule | None = None,
        beta: interfaces.Schedule | None = None,
        **changes: Any,
    ) -> Progress | None:
        """Trains for `env_steps` agent steps.

        Each call is a new run, whose schedules start at step 0. Weights, optimizer
        state and replay are kept. Ctrl-C ends the run after the current iteration.

        Without `seed`, the first call uses the seed of the settings. Each later call
        derives a new seed from it, which the monitors show. Calls with the same `seed`
        use the same random numbers.

        Args:
            envs: Vector environments, which are reset; or an id, a constructor, an
                environment or a `gymnasium.vector.VectorEnv`, see `envs.as_envs`. Of
                an environment `settings.num_envs` copies are made (default: 8).
            env_steps: Integer, agent steps over all environments, rounded down
                to whole iterations. It may be left out if `settings` are given.
            settings: `Settings` to start from. Default: the Breakout preset. Those
                of environments and replay are read from these objects.
            state: `run_state.RunState` to resume from, or `None`.
            monitors: `"auto"` (a live panel on a terminal, otherwise text lines),
                `None` (no output), or a `monitor.Monitor` or `interfaces.Monitor`,
                which is closed.
            callbacks: Callables `callback(agent, progress)`, called after every
                iteration, that end the run if they return true; and Keras callbacks,
                see `monitor.keras_callbacks`.
            exploration: Function that chooses actions, see `interfaces.Exploration`.
            epsilon, beta: Schedules of your own, see `interfaces.Schedule`. Default:
                those of the settings.
            **changes: Fields of `Settings` for the training loop: `batch_size`,
                `epsilon_endpoints`, `target_sync_env_steps`, `seed`, ...

        Returns:
            The last `Progress` record, or `None` if there was no iteration.

        Raises:
            SettingsError: If a setting is unknown, out of range, or not for `fit`, or
                if neither `env_steps` nor `settings` is given.
            RuntimeError, ValueError, MemoryError: See `build`.
            FloatingPointError: If a loss, gradient or Q-value is NaN or infinite.
        """
        checks.instance("settings", settings, Settings, "keras_dqn.Settings(...)")
        monitors = as_monitor(monitors)
        check_callbacks(callbacks)
        checks.instance("state", state, run_state.RunState, "None")
        if env_steps is not None:
            changes["env_steps"] = env_steps
        with as_envs(envs, **presets.options_for(envs, settings)) as made:
            check_envs(made, self._training_envs)
            choices = Choices.of(exploration, epsilon, beta, changes)
            return self._fit(
                made, settings, state, monitors, callbacks, choices, changes
            )

    def _fit(self, envs, settings, state, monitors, callbacks, choices, changes):
        settings = presets.for_fit(envs, self.replay, settings, changes)
        training.check_learning_starts(
            settings, self.replay.size, 0 if state is None else state.iteration
        )
        self.build(envs)
        self._attach_frames(settings.replay_device)
        if not isinstance(monitors, Monitor):
            interval = settings.log_interval_iterations
            monitors = make_console(monitors or "none", None, interval)
        if state is None:
            if "seed" not in changes:
                seed = run_state.fit_seed(settings.seed, self._fits)
                settings = settings.replace(seed=seed)
            state = run_state.RunState.from_seed(settings.seed)
        self._fits += 1
        with monitors, signals.handled() as requests:
            monitors.start(self.run_info(envs, settings))
            with called(callbacks, self, settings, monitors, requests) as functions:
                options = (settings, state, monitors, functions, choices, requests)
                return self._run_loop(envs, *options)

    def run_info(self, envs: VectorEnvs, settings: Settings) -> RunInfo:
        """Returns the `RunInfo` for `Monitor.start`."""
        backend = keras.config.backend()
        return RunInfo(
            env_id=envs.env_id,
            backend=backend,
            device=device_name(),
            versions={**versions(), **backend_versions()},
            env_options=envs.options,
            settings=settings.to_dict(),
            replay_nbytes_when_full=self.replay.nbytes_when_full(**stored_by(envs)),
            total_env_steps=settings.iterations * settings.env_steps_per_iteration,
            num_envs=envs.num_envs,
            seed=settings.seed,
        )

    def _run_loop(self, envs, settings, state, monitors, callbacks, choices, requests):
        """Runs the loop with monitors and callbacks. Returns the last record."""
        if requests.stop:
            return None
        if state.iteration == 0:
            self._learner.sync_target()
        progress = warning = None
        records = training.run(
            self._learner, self.replay, envs, settings, state, choices
        )
        is_consistent = True
        self._training_envs = envs
        phases = training.Phases(settings, state, self.replay, monitors.phase)
        try:
            phases.announce()
            for progress in records:
                monitors.write(progress)
                if warning is None:  # shown only once
                    warning = divergence_warning(progress, settings.gamma)
                    if warning is not None:
                        monitors.message(warning)
                # A list, not a generator: every callback is called.
                wants_stop = [callback(self, progress) for callback in callbacks]
                if requests.stop or any(wants_stop):
                    break
                phases.announce()
        except KeyboardInterrupt:  # in an update, JAX may have deleted the old state
            is_consistent = False
            raise
        finally:
            records.close()
            self._training_envs = None
            if is_consistent:
                self._learner.sync_variables()
        if not requests.stop:
            self._learner.finalize()
        return progress

    def _attach_frames(self, replay_device):
        """Makes minibatches hold frames, or indices of frames on the device."""
        frames = self.replay.attached_frames  # perhaps those of another agent
        if replay_device == "host":
            if frames is not None:
                self.replay.attach_frames(None)
            self._learner.attach_frames(None)
        elif frames is None or frames is not self._learner.frames:
            self._learner.attach_frames(self.replay.attach_frames(DeviceFrames))

    def _trained(self, observation):
        """Returns the network with one input, whose variables are trained."""
        if has_single_input(self._network):
            return self._network
        if self._single_input is None:
            trained = single_input(self._network, observation)
            check_network(trained)
            self._single_input, self._observation = trained, observation
        elif observation != self._observation:
            raise ValueError(
                "`envs` must give the observations of those before. Received: "
                f"{observation}. Before: {self._observation}"
            )
        return self._single_input

    def _build_learner(self, frame_stack, observation):
        """Returns the learner, and creates it if there is none."""
        if self._learner is None:
            if self._compiled is None:
                self.compile()
            network = self._trained(observation)
            self._learner = self._compiled.learner(network, frame_stack > 0)
        self._learner.check_variables()
        return self._learner
