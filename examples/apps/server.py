"""An agent behind HTTP: observations come in, Q-values and actions go out.

    python examples/apps/server.py --port 8000
    curl http://127.0.0.1:8000                     # what the network takes
    curl http://127.0.0.1:8000 -d '{"observations": [[0.1, 0.0, 0.02, 0.0]]}'
    curl http://127.0.0.1:8000 --data-binary @frames.bin -H "X-Shape: 1,84,84,4"

A batch or one observation, as JSON or, with `X-Shape`, as raw bytes of the network's
dtype. Bad input gets status 400 and a message. Only this machine can connect.
"""

import argparse
import http.server
import json
import math
from contextlib import suppress

import numpy as np

import keras_dqn

MOST_BYTES, MOST_OBSERVATIONS = 2**25, 64


class Handler(http.server.BaseHTTPRequestHandler):
    timeout = 10  # seconds for a client that sends nothing

    def do_GET(self):
        taken = self.policy.network.inputs[0]
        self.reply(200, {"shape": taken.shape[1:], "dtype": taken.dtype})

    def do_POST(self):
        try:
            q = self.policy.q_values(self.observations())
            self.reply(200, {"q_values": q.tolist(), "actions": q.argmax(-1).tolist()})
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            self.reply(400, {"error": repr(error)})

    def observations(self):
        taken = self.policy.network.inputs[0]
        count = int(self.headers.get("Content-Length", 0))
        if not 0 < count <= MOST_BYTES:
            raise ValueError(f"the body must have 1 to {MOST_BYTES} bytes, not {count}")
        body, shape = self.rfile.read(count), self.headers.get("X-Shape")
        if shape is None:
            array = np.asarray(json.loads(body)["observations"])
        else:
            array = np.frombuffer(body, taken.dtype)
            array = array.reshape([*map(int, shape.split(","))])
        most = MOST_OBSERVATIONS * math.prod(taken.shape[1:])
        if not (0 < array.size <= most and np.isfinite(array).all()):
            raise ValueError(f"send 1 to {MOST_OBSERVATIONS} arrays of finite numbers")
        return array

    def reply(self, status, answer):
        text = json.dumps(answer, allow_nan=False)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(text.encode())


def make_server(path, port):
    Handler.policy = keras_dqn.Policy(keras_dqn.load_network(path))
    return http.server.HTTPServer(("127.0.0.1", port), Handler)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default=keras_dqn.pretrained.path("breakout"))
    parser.add_argument("--port", type=int, default=8000)
    args = parser.parse_args(argv)
    with suppress(KeyboardInterrupt), make_server(args.network, args.port) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
