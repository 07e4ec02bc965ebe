"""Trains part of a run and records the digests of every iteration.

`verify-resume` and the kill test start it as a process of its own:

    python -m keras_dqn.runs.partial_run SETTINGS.json OUT [--resume] [--stop-at N]

Into the run directory `OUT` it writes `iteration-digests.jsonl`, a line for each
iteration, and at the end of the run `digests.json`, those of every part.
"""

import argparse
import json
import pathlib
import sys

from keras_dqn.config import Settings
from keras_dqn.runs import digests
from keras_dqn.runs.directory import RunDirectory


def main(argv=None):
    """Trains. Returns the exit code, 0."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("settings", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--stop-at", type=int, metavar="ITERATION")
    options = parser.parse_args(argv)
    settings = Settings.from_dict(json.loads(options.settings.read_text()))
    run_partially(settings, options.out, options.resume, options.stop_at)
    return 0


def run_partially(settings, out, resume=False, stop_at=None):
    """Trains in the run directory `out`, up to iteration `stop_at` or to the end.

    Args:
        settings: `Settings` of the whole run.
        out: `pathlib.Path` of the run directory.
        resume: Boolean, whether to go on from the newest checkpoint.
        stop_at: Integer, the iteration before which to stop, or `None`.

    Returns:
        Digests by the name of the part, `None` if the end was not reached.
    """
    # Here, because it is the first import that needs a Keras backend.
    from keras_dqn.runs.run import TrainingRun

    directory = RunDirectory(out)
    out.mkdir(parents=True, exist_ok=True)
    chain = digests.HashChain(directory.iteration_digests)
    with TrainingRun(settings, out) as run:

        def note(agent, progress):
            parts = {
                **digests.of_learner(agent.learner),
                **digests.of_run_state(run.state),
                "evaluations": digests.of_json(run.evaluations.to_meta()),
                "metrics": digests.of_progress(progress),
            }
            chain.add(progress.iteration, parts)
            return run.state.iteration == stop_at

        if not run.train(console="plain", resume=resume, callbacks=[note]):
            return None
        parts = {
            **digests.of_learner(run.agent.learner),
            **digests.of_replay(run.agent.replay),
            **digests.of_run_state(run.state),
            "evaluations": digests.of_json(run.evaluations.to_meta()),
            "metrics": digests.of_metrics(directory.metrics),
        }
    directory.digests.write_text(json.dumps(parts, indent=1) + "\n")
    return parts


if __name__ == "__main__":
    sys.exit(main())
