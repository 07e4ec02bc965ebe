"""Programs that are compared from processes of their own, in turns.

A peer lives in a virtual environment of its own, made on first use with pinned
versions. It is asked by one line of JSON and answers with one; while one child
works, the others wait for their next line. Standard library only: the peers
import this file too.
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent


def default_cache():
    """Returns the folder for virtual environments: `$KERAS_DQN_CACHE`, or ~/.cache."""
    root = os.environ.get("KERAS_DQN_CACHE")
    return pathlib.Path(root or pathlib.Path.home() / ".cache" / "keras_dqn")


def environment(name, requirements, cache=None):
    """Returns the Python of a virtual environment with these packages.

    It is made on first use, and made anew when `requirements` change.

    Args:
        name: String, the beginning of the folder's name.
        requirements: List of pinned requirements.
        cache: Folder, default: `default_cache()`.

    Raises:
        RuntimeError: If pip can't install them. The folder is left incomplete
            and is made again next time.
    """
    text = "\n".join(requirements) + "\n"
    key = hashlib.sha256(f"{sys.version_info[:2]}{text}".encode()).hexdigest()[:10]
    folder = pathlib.Path(cache or default_cache()) / f"{name}-{key}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / "requirements.txt"
    if done.exists():
        return python
    print(f"Making {folder} with {', '.join(requirements)} ...", flush=True)
    venv.create(folder, clear=True, with_pip=True)
    command = [python, "-m", "pip", "install", "--quiet", *requirements]
    installed = subprocess.run(command, capture_output=True, text=True, check=False)
    if installed.returncode:
        raise RuntimeError(
            f"pip could not install {requirements}:\n{installed.stderr[-2000:]}"
        )
    done.write_text(text)
    return python


class Child:
    """A script that answers requests.

    Args:
        script: File name in this folder.
        python: The Python to run it with.
        arguments: Strings for its command line.
    """

    def __init__(self, script, python=sys.executable, arguments=()):
        self.name = script
        self._process = subprocess.Popen(
            [str(python), str(HERE / script), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, request, **arguments):
        """Sends a request and waits for the answer, a dictionary."""
        line = json.dumps({"request": request, **arguments})
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(
                f"{self.name} ended with status {self._process.wait()}; see above."
            )
        return json.loads(answer)

    def close(self):
        """Lets the child end, and waits for it. Twice is harmless."""
        if not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def serve(**handlers):
    """Answers requests from the parent until it closes the pipe.

    Args:
        **handlers: By name of the request, functions of its arguments that
            return a dictionary.
    """
    # What libraries print must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        arguments = json.loads(line)
        result = handlers[arguments.pop("request")](**arguments)
        answers.write(json.dumps(result) + "\n")
        answers.flush()
