"""Makes the pictures in `docs/pictures` with the commands of the package.

pip install ".[plot,video]"      # and Chromium, for the picture of a page
python docs/make_pictures.py
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
LOGS = ROOT / "benchmarks" / "learning" / "logs"
BROWSERS = ("chromium", "google-chrome", "chrome")
ATARI = LOGS / "breakout-atari" / "tensorflow-seed1.jsonl.gz"
REFERENCE = LOGS / "breakout-reference" / "tensorflow-seed1.jsonl.gz"


def keras_dqn(*words):
    """Runs the command `keras-dqn`."""
    command = [sys.executable, "-m", "keras_dqn", *map(str, words)]
    subprocess.run(command, check=True)


def main():
    game = ["--pretrained", "breakout", "--seed", 22, "--start", 78, "--force"]
    keras_dqn("record", *game, "--out", PICTURES / "breakout.gif")
    keras_dqn("plot", ATARI, REFERENCE, "--force", "--out", PICTURES / "curve.png")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit("No Chromium on PATH: the picture of the page was not made")
    with tempfile.TemporaryDirectory() as folder:
        page = pathlib.Path(folder) / "report.html"
        keras_dqn("report", ATARI, "--out", page)
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        flags += ["--window-size=1200,1500", "--virtual-time-budget=20000"]
        still = f"--screenshot={PICTURES / 'report.png'}"
        subprocess.run([browser, *flags, still, page.as_uri()], check=True)


if __name__ == "__main__":
    main()
