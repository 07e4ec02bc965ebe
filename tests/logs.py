"""Run directories for tests, whose every number is known."""

import gzip
import json

import keras_dqn

ENV_OPTIONS = {"env_id": "ALE/Breakout", "frame_skip": 4, "life_loss": "terminal"}
VERSIONS = {"keras_dqn": "0.1.0", "keras": "3.15.1"}


def start(settings, env_steps=0, **changes):
    """Returns a line of type "start"."""
    return {
        "type": "start",
        "env_steps": env_steps,
        "env_id": "ALE/Breakout",
        "backend": "jax",
        "device": "CPU",
        "versions": VERSIONS,
        "env_options": ENV_OPTIONS,
        "settings": settings,
        **changes,
    }


def metrics(env_steps, score, **changes):
    """Returns a line of type "metrics"."""
    return {
        "type": "metrics",
        "env_steps": env_steps,
        "env_steps_per_second": 100.0,
        "loss": 0.5,
        "q_mean": 2.0,
        "q_std": 0.25,
        "epsilon": 0.1,
        "beta": 0.4,
        "score_mean": score,
        **changes,
    }


def episode(env_steps, score):
    """Returns a line of type "episode"."""
    return {"type": "episode", "env_steps": env_steps, "score": score, "length": 9}


def evaluation(env_steps, scores, **changes):
    """Returns a line of type "evaluation"."""
    return {
        "type": "evaluation",
        "env_steps": env_steps,
        "epsilon": 0.05,
        "scores": scores,
        "lengths": [10] * len(scores),
        "is_final": False,
        **changes,
    }


def settings(**changes):
    """Returns settings of the preset `breakout` as JSON values."""
    return keras_dqn.presets.breakout(**changes).to_dict()


def write(directory, lines, **changes):
    """Writes a run directory with a line "start" before `lines`. Returns its path.

    Args:
        directory: Path.
        lines: List of dictionaries, and of strings for damaged lines.
        **changes: Of the preset `breakout`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    values = settings(**changes)
    (directory / "settings.json").write_text(json.dumps(values))
    (directory / "metrics.jsonl").write_text(text([start(values), *lines]))
    return directory


def write_packed(path, lines):
    """Writes lines into a file with gzip. Returns its path."""
    with gzip.open(path, "wt") as file:
        file.write(text(lines))
    return path


def text(lines):
    """Returns lines as the text of a log."""
    shown = [each if isinstance(each, str) else json.dumps(each) for each in lines]
    return "".join(f"{each}\n" for each in shown)
