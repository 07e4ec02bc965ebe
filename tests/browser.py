"""Opens pages in Chromium, without a window."""

import re
import shutil
import subprocess

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def opened(address, profile, scheme=1, milliseconds=20_000):
    """Returns the page after its scripts have run, and what the console shows.

    Args:
        address: String, an URL.
        profile: Path of a new folder for Chromium's files.
        scheme: Integer, 0 for dark pages, 1 for light ones.
        milliseconds: Integer, how long the scripts may run. Waiting takes no time.
    """
    found = [name for name in BROWSERS if shutil.which(name)]
    if not found:
        pytest.fail(f"This test needs one of these on PATH: {', '.join(BROWSERS)}")
    command = [
        found[0],
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        f"--user-data-dir={profile}",
        f"--blink-settings=preferredColorScheme={scheme}",
        "--enable-logging=stderr",
        "--window-size=1280,2000",
        f"--virtual-time-budget={milliseconds}",
        "--dump-dom",
        address,
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240, check=True
    )
    return done.stdout, re.findall(r".*CONSOLE.*", done.stderr)
