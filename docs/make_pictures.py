"""Makes the pictures in `docs/pictures` with the commands of the package.

pip install ".[plot,video,tensorboard]" tensorboard pyte      # and Chromium
KERAS_BACKEND=jax python docs/make_pictures.py                # all, or: panel.png ...
"""

import contextlib
import os
import pathlib
import pty
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
LOGS = ROOT / "benchmarks" / "learning" / "logs"
BROWSERS = ("chromium", "google-chrome", "chrome")
ATARI = LOGS / "breakout-atari" / "tensorflow-seed1.jsonl.gz"
REFERENCE = LOGS / "breakout-reference" / "tensorflow-seed1.jsonl.gz"
FILM = ("record", "--pretrained", "breakout", "--seed", 22, "--start", 78, "--force")
FRAME = 150  # of the film, for the still
SMALL_RUN = "train --preset cartpole --env-steps 30k --evaluation-episodes 20"
COLUMNS, ROWS = 100, 40  # of the terminal
TAGS = "^score_mean|^loss|gradient_norm|^evaluation/mean|q_mean|env_steps"


def command(*words):
    """Returns the words of a command line of `keras-dqn`."""
    return [sys.executable, "-m", "keras_dqn", *map(str, words)]


def keras_dqn(*words):
    """Runs the command `keras-dqn`."""
    subprocess.run(command(*words), check=True)


def screenshot(url, path, width, height):
    """Saves a picture of a page, as Chromium shows it."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"No Chromium on PATH: {path} was not made")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    flags += [f"--window-size={width},{height}", "--virtual-time-budget=20000"]
    subprocess.run(
        [browser, *flags, f"--screenshot={path}", url],
        check=True,
        stderr=subprocess.DEVNULL,
    )


def film(path, folder):
    keras_dqn(*FILM, "--out", path)


def film_frame(path, folder):
    import imageio_ffmpeg
    from PIL import Image

    keras_dqn(*FILM, "--out", folder / "film.mp4")
    frames = imageio_ffmpeg.read_frames(folder / "film.mp4")
    size = next(frames)["size"]
    for _ in range(FRAME):
        next(frames)
    Image.frombytes("RGB", size, next(frames)).save(path, optimize=True)


def curve(path, folder):
    keras_dqn("plot", ATARI, REFERENCE, "--force", "--out", path)


def report(path, folder):
    page = folder / "report.html"
    keras_dqn("report", ATARI, "--out", page)
    screenshot(page.as_uri(), path, 1200, 1500)


def panel(path, folder):
    """Trains in a terminal until half of it is done, and saves what it shows."""
    drawing = folder / "panel.svg"
    drawing.write_text(_svg(_terminal(folder / "run")))
    viewed = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawing.read_text())
    width, height = (round(float(number)) for number in viewed.groups())
    screenshot(drawing.as_uri(), path, width, height)


def tensorboard(path, folder):
    """Trains with event files, and saves what TensorBoard shows of them."""
    run = folder / "run"
    keras_dqn(*SMALL_RUN.split(), "--tensorboard", "--console", "plain", "--out", run)
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["tensorboard.main", "--logdir", run, "--host", "127.0.0.1", "--port", port]
    server = subprocess.Popen([sys.executable, "-m", *map(str, words)])
    try:
        url = f"http://127.0.0.1:{port}/"
        _wait_for(url)
        page = f"{url}?darkMode=false#scalars&tagFilter={urllib.request.quote(TAGS)}"
        screenshot(f"{page}&_smoothingWeight=0", path, 1250, 920)
    finally:
        server.terminate()
        server.wait()


PICTURES_BY_NAME = {
    "breakout.gif": film,
    "film.png": film_frame,
    "curve.png": curve,
    "report.png": report,
    "panel.png": panel,
    "tensorboard.png": tensorboard,
}


def _wait_for(url):
    for _ in range(120):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url).close()
            return
        time.sleep(0.5)
    sys.exit(f"TensorBoard does not answer at {url}")


def _terminal(out):
    """Returns the screen of a terminal in which a run has been trained for a while."""
    import pyte

    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "LINES": str(ROWS)}
    process = subprocess.Popen(
        command(*SMALL_RUN.split(), "--evaluation-interval-iterations", 10)
        + ["--console", "live", "--out", str(out)],
        env={**environment, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    try:
        while True:
            try:
                stream.feed(os.read(ours, 65_536))
            except OSError:  # the process has ended
                break
            text = "\n".join(screen.display)
            done = re.search(r"(\d+)\.\d %", text)
            if done and int(done[1]) >= 50 and "│ training  " in text:
                return screen
    finally:
        process.terminate()
        process.wait()
    sys.exit(
        "The run ended before its picture was taken:\n" + "\n".join(screen.display)
    )


def _svg(screen):
    """Returns a drawing of a terminal's screen."""
    from rich.console import Console
    from rich.text import Text

    lines = [screen.buffer[row] for row in range(screen.lines)]
    text = Text()
    for line in lines:
        for column in range(screen.columns):
            text.append(line[column].data, _style(line[column]))
        text.append("\n")
    text.rstrip()
    console = Console(record=True, width=screen.columns, file=open(os.devnull, "w"))
    console.print(text)
    return console.export_svg(title="keras-dqn train --preset cartpole")


def _style(character):
    color = character.fg.replace("brown", "yellow").replace("bright", "bright_")
    if re.fullmatch("[0-9a-f]{6}", color):
        color = f"#{color}"
    return f"{'bold ' if character.bold else ''}{color}"


def main():
    names = sys.argv[1:] or list(PICTURES_BY_NAME)
    unknown = set(names) - set(PICTURES_BY_NAME)
    if unknown:
        sys.exit(
            f"No such picture: {', '.join(unknown)}. {', '.join(PICTURES_BY_NAME)}"
        )
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            PICTURES_BY_NAME[name](PICTURES / name, pathlib.Path(folder))


if __name__ == "__main__":
    main()
