"""`Player`: what an agent does with its network besides learning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_dqn import checks
from keras_dqn import evaluation
from keras_dqn.backend import Learner
from keras_dqn.envs import VectorEnvs
from keras_dqn.envs import make_evaluation_envs
from keras_dqn.envs.arguments import check_envs
from keras_dqn.models.checking import check_fits
from keras_dqn.models.single_input import Observation
from keras_dqn.policy import Policy


class Player:
    """Base class of `DQNAgent`: predicts, acts and plays whole games."""

    network: keras.Model  # with up-to-date variables
    # Defined by `DQNAgent`.
    _network: keras.Model
    _distribution: Any
    _trained: Callable[[Observation], keras.Model]
    _build_learner: Callable[[int, Observation | None], Learner]

    def __init__(self) -> None:
        self._single_input: keras.Model | None = None
        self._observation: Observation | None = None  # for which it was made
        self._extensions: dict[str, keras.Model] = {}
        self._envs: VectorEnvs | None = None
        self._training_envs: VectorEnvs | None = None  # while `fit` runs
        self._own_policy: Policy | None = None

    def predict(self, observations: Any) -> np.ndarray:
        """Returns Q-values, float32, see `Policy.q_values`."""
        return self._acting().q_values(observations)

    def act(self, observations: Any, epsilon: float = 0.0) -> int | np.ndarray:
        """Returns an action for each observation, see `Policy.__call__`.

        Args:
            observations: One observation or a batch, as the network takes them.
            epsilon: Float from 0 to 1, probability of a random action.
        """
        policy = self._acting()
        policy.epsilon = checks.probability("epsilon", epsilon)
        return policy(observations)

    def policy(self, epsilon: float = 0.0, seed: int | None = None) -> Policy:
        """Returns a `Policy` that always uses the agent's current weights.

        Args:
            epsilon, seed: See `Policy`.
        """
        return Policy(self, epsilon, seed)

    @property
    def q_network(self) -> keras.Model:
        """A model of stock layers from observations to Q-values, with these weights.

        It is `network` itself, unless that predicts distributions.
        """
        network = self.network
        plain = getattr(self._distribution, "plain", None)
        model = self._with_inputs(network)
        if plain is None or model is None or len(model.output_shape) == 2:
            return network
        return self._extended(plain, "q_values")

    def distribution_model(self) -> keras.Model:
        """Returns a model from observations to the distributions of the returns.

        Returns:
            `keras.Model` with these weights. Output: float32, `(batch, actions, K)`:
            the probabilities of the atoms, or the quantiles.

        Raises:
            ValueError: If the network predicts Q-values.
        """
        shown = getattr(self._distribution, "shown", None)
        if shown is None:
            raise ValueError(
                "The network must predict distributions, see `compile(distribution="
                f"...)`. Received: distribution={self._distribution!r}"
            )
        return self._extended(shown, "distribution")

    def _with_inputs(self, network):
        """Returns a functional model; `None` of a subclassed one that is not built."""
        return network if getattr(network, "inputs", None) else self._single_input

    def _extended(self, function, name):
        """Returns the network with `function` of its outputs in place of these."""
        model = self._with_inputs(self.network)
        if self._extensions.get(name) is None:
            inputs = model.inputs[0] if len(model.inputs) == 1 else model.input
            outputs = function(model.outputs[0])
            model = keras.Model(inputs, outputs, name=f"{model.name}_{name}")
            self._extensions[name] = model
        return self._extensions[name]

    @property
    def observation(self) -> Observation | None:
        """What a network with several inputs, or without any, is trained on."""
        return self._observation

    def summary(self, **options: Any) -> None:
        """Prints the layers of the network, see `keras.Model.summary`."""
        self.network.summary(**options)

    def evaluate(
        self,
        env: str | Callable[..., Any] | VectorEnvs | None = None,
        episodes: int = 30,
        *,
        epsilon: float = 0.05,
        seed: int | tuple[int, ...] = 0,
        num_envs: int | None = None,
        stop: Callable[[], bool] | None = None,
        on_game: Callable[[int, int], Any] | None = None,
        **options: Any,
    ) -> evaluation.Evaluation | None:
        """Plays whole games and returns their raw scores. Training is not affected.

        Ctrl-C, or the interrupt of a notebook, ends the evaluation.

        Args:
            env: Id or constructor of an environment, see `make_envs`, or vector
                environments. Default: new environments like those of the last
                `build` or `fit`.
            episodes: Integer, at least 1.
            epsilon: Float from 0 to 1, probability of a random action.
            seed: Integer, or tuple of integers, for games and random actions.
            num_envs: Integer, environments stepped together. Default: up to 8.
            stop, on_game: See `evaluation.evaluate`.
            **options: Options of `make_envs`. Default: those of `env`. Atari games
                are played with `life_loss="ignore"`.

        Returns:
            `evaluation.Evaluation`, or `None` if it was aborted.

        Raises:
            RuntimeError: If `env` is not given and the agent was never built.
            ValueError: If an argument is out of range, or does not fit the network.
        """
        if isinstance(env, VectorEnvs):
            return self._evaluate(env, episodes, epsilon, seed, stop, on_game)
        if env is None:
            if self._envs is None:
                raise RuntimeError("`env` must be given before `build` or `fit`.")
            env = self._envs
        if num_envs is None:
            num_envs = min(checks.integer("episodes", episodes, minimum=1), 8)
        with make_evaluation_envs(env, num_envs, **options) as envs:
            return self._evaluate(envs, episodes, epsilon, seed, stop, on_game)

    def _acting(self):
        """Returns the policy of `predict` and `act`."""
        if self._own_policy is None:
            self._own_policy = Policy(self)
        return self._own_policy

    def _evaluate(self, envs, episodes, epsilon, seed, stop, on_game):
        check_envs(envs, self._training_envs)
        observation = Observation.of(envs)
        check_fits(self._trained(observation), envs)
        q_values = self._build_learner(envs.frame_stack, observation).q_values
        # While `fit` runs, Ctrl-C only ends `fit`.
        with evaluation.stopping(stop, self._training_envs is None) as stops:
            return evaluation.evaluate(
                q_values, envs, episodes, epsilon, seed, stops, on_game
            )
