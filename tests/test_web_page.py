"""The page of `examples/apps/web/` in a browser: its network plays the real emulator.

To install, besides what the other tests need: Chromium (`apt-get install chromium`),
and ONNX Runtime Web for the page
(`npm install --prefix examples/apps/web --no-package-lock`). Then
`tox -e torch -- -m slow tests/test_web_page.py`.
"""

import contextlib
import importlib
import re
import shutil
import sys
import threading

import numpy as np
import pytest

from keras_dqn import pretrained
from keras_dqn.models.precision import with_precision
from tests import runs
from tests.browser import opened
from tests.documents import ROOT

pytestmark = pytest.mark.slow

WEB = ROOT / "examples" / "apps" / "web"
INSTALL = "npm install --prefix examples/apps/web --no-package-lock"
STEPS = 60  # of a game


@pytest.fixture
def serve(monkeypatch):
    """The module `serve.py`, whose games end early and note what the page chooses."""
    monkeypatch.syspath_prepend(str(WEB))
    monkeypatch.syspath_prepend(str(WEB.parent))
    for name in ("serve", "game_loop"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    module = importlib.import_module("serve")

    class ShortGame(module.Game):
        def reset(self):
            self.seen, self.chosen = [super().reset()], []
            return self.seen[-1]

        def step(self, action):
            observation, is_over = super().step(action)
            self.seen.append(observation)
            self.chosen.append(action)
            self.final_score = self.score
            if is_over or len(self.chosen) == STEPS:
                self.ended, is_over = (self.seen[:-1], self.chosen), True
            return observation, is_over

    monkeypatch.setattr(module, "Game", ShortGame)
    return module


@pytest.fixture
def folder(tmp_path):
    """The files of the page, without a network."""
    if not (WEB / "node_modules" / "onnxruntime-web").exists():
        pytest.fail(f"This test needs ONNX Runtime Web: {INSTALL}")
    for name in ("index.html", "play.js", "style.css"):
        shutil.copy(WEB / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(WEB / "node_modules")
    return tmp_path


@contextlib.contextmanager
def serving(server):
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/?games=1"
        finally:
            server.shutdown()
            thread.join()


def opened_page(serve, folder):
    """Returns the texts of the page by id, its rows of actions, and the game."""
    with serving(serve.make_server(0, folder)) as address:
        text, _ = opened(address, folder / "profile", milliseconds=60_000)
    texts = dict(re.findall(r'id="(\w+)"[^>]*>([^<]*)<', text))
    rows = re.findall(r'<tr(?: class="(\w*)")?><td>(\w+)</td><td>([-.\d]*)</td>', text)
    return texts, rows, serve.Handler.game


def test_the_network_in_the_page_chooses_the_actions(serve, folder):
    command = ("export", "--pretrained", "breakout", "--format", "onnx")
    assert runs.command(*command, "--out", folder / "breakout.onnx") == 0
    texts, rows, game = opened_page(serve, folder)
    assert texts["error"] == ""
    seen, chosen = game.ended
    assert len(chosen) == STEPS
    # The page plays 1 % of the actions at random.
    network = with_precision(pretrained.load("breakout"), "float32")
    q_values = network.predict_on_batch(np.stack(seen))
    assert np.mean(q_values.argmax(axis=1) == chosen) >= 0.9
    assert len(set(chosen)) > 1
    # What the page showed last.
    score = int(game.final_score)
    assert texts["score"] == str(score)
    assert texts["games"] == f"{score} (mean {score:.1f})"
    assert [name for _, name, _ in rows] == ["NOOP", "FIRE", "RIGHT", "LEFT"]
    shown = [float(value) for *_, value in rows]
    np.testing.assert_allclose(shown, q_values[-1], atol=1e-3)
    assert [mark == "chosen" for mark, *_ in rows].index(True) == chosen[-1]


@pytest.mark.parametrize("content", [None, b"no network"])
def test_without_a_network_the_page_says_so_and_plays_nothing(serve, folder, content):
    if content is not None:
        (folder / "breakout.onnx").write_bytes(content)
    texts, rows, game = opened_page(serve, folder)
    assert "rror" in texts["error"]
    assert game.chosen == []
    assert [value for *_, value in rows] == [""] * 4
