"""Trains a part of a run and writes digests of every iteration.

`verify-resume` and `benchmarks/kill_resume.py` run it in a process of its own:

    python -m keras_dqn.runs.partial_run SETTINGS.json OUT [--resume] [--stop-at N]

In the run directory `OUT` it writes `iteration-digests.jsonl`, one line for each
iteration, and at the end of the run `digests.json`.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
from collections.abc import Sequence

from keras_dqn.config import Settings
from keras_dqn.runs import digests
from keras_dqn.runs.run import Run


def main(argv: Sequence[str] | None = None) -> int:
    """Trains. Returns the exit code, 0."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("settings", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--stop-at", type=int, metavar="ITERATION")
    options = parser.parse_args(argv)
    settings = Settings.from_dict(json.loads(options.settings.read_text()))
    train_partially(settings, options.out, options.resume, options.stop_at)
    return 0


def train_partially(
    settings: Settings,
    out: pathlib.Path,
    resume: bool = False,
    stop_at: int | None = None,
) -> dict[str, str] | None:
    """Trains in the run directory `out`, up to iteration `stop_at` or to the end.

    Args:
        settings: `Settings` of the whole run.
        out: Path of the run directory.
        resume: Boolean, whether to continue from the newest checkpoint.
        stop_at: Integer, the iteration before which to stop, or `None`.

    Returns:
        Digests by the name of the part, or `None` if the run stopped before its end.
    """
    from keras_dqn.runs import parts  # here, because it needs a Keras backend

    def add_digests(agent, progress):
        found = {
            **digests.of_learner(agent.learner),
            **digests.of_run_state(run.state),
            "evaluations": digests.of_json(run.evaluations.to_meta()),
            "metrics": digests.of_progress(progress),
        }
        log.add(progress.iteration, found)
        return run.state.iteration == stop_at

    with Run(
        settings,
        out,
        console="plain",
        resume=resume,
        evaluation=False,
        callbacks=[add_digests],
    ) as run:
        log = digests.DigestLog(run.directory.iteration_digests)
        parts.train(run)
        if run.was_stopped:
            return None
        found = {
            **digests.of_learner(run.agent.learner),
            **digests.of_replay(run.agent.replay),
            **digests.of_run_state(run.state),
            "evaluations": digests.of_json(run.evaluations.to_meta()),
            "metrics": digests.of_metrics(run.directory.metrics),
        }
        run.directory.digests.write_text(json.dumps(found, indent=1) + "\n")
    return found


if __name__ == "__main__":
    sys.exit(main())
