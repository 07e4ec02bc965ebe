"""The figures of the live panel: labels and values as text."""

from __future__ import annotations

from typing import Any

from keras_dqn.monitor import text

Rows = list[tuple[str, str]]  # labels and values


class Figures:
    """The figures of a `Panel`, arranged in columns.

    Args:
        panel: `panel.Panel`.
        sign: String, plus-minus as the terminal can show it.
    """

    def __init__(self, panel: Any, sign: str) -> None:
        self._info, self._progress = panel.info, panel.progress
        self._env_steps_per_second = panel.env_steps_per_second
        self._updates_per_second = panel.updates_per_second
        self._sign = sign

    def three_columns(self) -> list[Rows]:
        """Returns lists of `(label, value)`: the run, its games, and learning."""
        return [self._run(), self._play(), self._learning()]

    def two_columns(self) -> list[Rows]:
        """Returns two lists. Epsilon and beta fill up the shorter one."""
        learning = self._learning()
        return [self._run() + learning[3:], self._play() + learning[:3]]

    def one_column(self, has_remarks: bool) -> Rows:
        """Returns all rows, the most important ones first.

        Args:
            has_remarks: Boolean, whether to say what the scores are of.
        """
        run, play, learning = self._run(), self._play(has_remarks), self._learning()
        first = [*run[:2], *play[:3], *learning[:2], learning[3]]
        return first + [row for row in run + play + learning if row not in first]

    def _run(self):
        progress, number = self._progress, text.number
        done, total = progress.env_steps_done, progress.total_env_steps
        trained = progress.is_training
        updates_per_second = self._updates_per_second if trained else None
        rows = [
            ("agent steps", f"{text.short(done)} of {text.short(total)}"),
            ("agent steps/s", number(self._env_steps_per_second, ",.0f")),
            ("updates", f"{progress.updates:,}"),
            ("updates/s", number(updates_per_second, ",.1f")),
        ]
        skip = self._info.frame_skip
        if skip:
            frames = f"{text.short(done * skip)} (x {skip})"
            rows.insert(2, ("emulator frames", frames))
        return rows

    def _play(self, has_remarks=True):
        progress, number = self._progress, text.number
        unit, units = self._info.score_unit, self._info.score_units
        mean, best = score(progress.score_mean), score(progress.best_score)
        if mean != text.DASH and has_remarks:
            last = min(progress.episode_count, 100)
            mean += (
                f" (last {last})" if unit == "episode" else f" (last {last} {units})"
            )
        if best != text.DASH and has_remarks:
            best += f" (one {unit})"
        return [
            (units, f"{progress.episode_count:,}"),
            ("mean score", mean),
            ("best score", best),
            ("mean length", f"{number(progress.length_mean, ',.1f')} steps"),
            ("replay", self._replay()),
        ]

    def _learning(self):
        progress = self._progress
        q = text.number(progress.q_mean, ".3f")
        if q != text.DASH:
            q += f" {self._sign} {text.number(progress.q_std, '.3f')}"
        return [
            ("loss", text.number(progress.loss, ".4g")),
            ("Q mean", q),
            ("|TD error|", text.number(progress.td_error, ".4f")),
            ("epsilon", text.number(progress.epsilon, ".4f")),
            ("beta", text.number(progress.beta, ".4f")),
        ]

    def _replay(self):
        progress = self._progress
        filled = text.percent(progress.replay_size, progress.replay_capacity)
        return f"{filled}, {text.memory(progress.replay_nbytes)}"


def score(value: float | None) -> str:
    """Returns a score as text, without decimals from 1,000 on."""
    is_long = value is not None and abs(value) >= 1000
    return text.number(value, ",.0f") if is_long else text.score(value)
