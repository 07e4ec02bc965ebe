"""Plays Breakout in the browser: the game runs here, the network in the page.

    npm install --prefix examples/apps/web --no-package-lock
    keras-dqn export --pretrained breakout --format onnx --out examples/apps/web/breakout.onnx
    python examples/apps/web/serve.py          # then open http://127.0.0.1:8000

There is no emulator in the page: this program steps the real one. `POST /step?action=2`
sends the next observation and the screen. The page computes the Q-values with ONNX
Runtime Web and chooses the action. All open pages share one game.
"""  # noqa: E501

import argparse
import contextlib
import http.server
import pathlib
import sys
import threading

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
from game_loop import Game  # noqa: E402

PATHS = ("/reset", "/step?action=0", "/step?action=1", "/step?action=2")
PATHS += ("/step?action=3",)


class Handler(http.server.SimpleHTTPRequestHandler):
    game, lock = None, threading.Lock()

    def do_POST(self):
        if self.path not in PATHS:
            return self.send_error(400, "POST /reset or /step?action=0 (to 3)")
        with self.lock:
            if self.path == "/reset":
                observation, is_over = self.game.reset(), False
            else:
                observation, is_over = self.game.step(int(self.path[-1]))
            ale, score = self.game.ale, self.game.score
            body = observation.tobytes() + ale.getScreenRGB().tobytes()
            facts = {"Score": score, "Lives": ale.lives(), "Over": is_over}
        self.send_response(200)
        for name, value in facts.items():
            self.send_header(f"X-{name}", str(int(value)))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Prints nothing: there are many requests."""


def make_server(port, folder=HERE):
    Handler.game = Game()
    Handler.game.reset()

    def handler(*args):
        return Handler(*args, directory=folder)

    return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8000)
    args = parser.parse_args(argv)
    for name in ("breakout.onnx", "node_modules/onnxruntime-web"):
        if not (HERE / name).exists():
            sys.exit(f"{HERE / name} is missing.\n{__doc__}")
    with make_server(args.port) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
