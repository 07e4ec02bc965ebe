"""Whole games played on the way: when, how good they were, whether that is enough."""

from keras_dqn import checks


class Evaluations:
    """Plays whole games at intervals, keeps the best network, ends a run that is good.

    A request to stop breaks games off. The evaluation is then pending, in the
    checkpoint too, and a resumed run begins with it: the network is still the same.

    Args:
        settings: `Settings`.
        play: Function of a number, that of the evaluation, which returns an
            `Evaluation`, or `None` if a request to stop broke it off.
        save_best: Function that saves the network as the best so far.
        say: Function that shows a line of text.
        alarm: The same, for a best network that cannot be saved. By default `say`.

    Attributes:
        is_solved: Boolean, whether the last evaluation was good enough to stop.
    """

    def __init__(self, settings, play, save_best, say, alarm=None):
        self._interval = settings.evaluation_interval_iterations
        self._stop_at_score = settings.stop_at_score
        self._play, self._save_best = play, save_best
        self._say, self._alarm = say, alarm or say
        self._best_score = None  # the mean of the best one
        self._last_score = None
        self._pending = None  # agent steps at which one was broken off

    @property
    def is_solved(self):
        if self._stop_at_score is None or self._last_score is None:
            return False
        return self._last_score >= self._stop_at_score

    def after_iteration(self, state, env_steps):
        """Plays if it is time to. Returns whether the run is good enough to stop.

        Args:
            state: `run_state.RunState`, after the iteration.
            env_steps: Integer, agent steps taken.
        """
        if self._interval is None or state.iteration % self._interval:
            return False
        return self._evaluate(env_steps) if state.updates else False

    def catch_up(self):
        """Plays what a stop broke off before. Returns whether that is good enough."""
        return (
            self.is_solved if self._pending is None else self._evaluate(self._pending)
        )

    def _evaluate(self, env_steps):
        self._pending = env_steps
        result = self._play(env_steps)
        if result is None:
            return False
        self._pending, self._last_score = None, result.mean
        self._say(f"Evaluation at {env_steps} agent steps: {result}")
        if self._best_score is None or result.mean > self._best_score:
            try:
                self._save_best()
                self._best_score = result.mean
            except OSError as error:  # the training goes on, and with it the old file
                self._alarm(f"Could not save best.keras: {error}")
        return self.is_solved

    def to_meta(self):
        """Returns what there is to remember as values that JSON can hold."""
        return {
            "best_score": self._best_score,
            "last_score": self._last_score,
            "pending_evaluation": self._pending,
        }

    def load_meta(self, meta):
        """Takes over what `to_meta` returned.

        Raises:
            ValueError: If a score is no finite number, or the rest no counter.
        """
        for name in ("best_score", "last_score"):
            if meta.get(name) is not None:
                checks.number(name, meta[name])
        pending = meta.get("pending_evaluation")
        if pending is not None:
            checks.integer("pending_evaluation", pending, 0, checks.LARGEST_COUNT)
        self._best_score = meta.get("best_score")
        self._last_score = meta.get("last_score")
        self._pending = pending
