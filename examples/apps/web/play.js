// Chooses the actions of a game that serve.py steps.
// With index.html?games=3 it plays three games as fast as possible and stops.

import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs";

const ACTIONS = ["NOOP", "FIRE", "RIGHT", "LEFT"];
const EPSILON = 0.01; // probability of a random action
const SIDE = 84, FRAMES = 4, WIDTH = 160, HEIGHT = 210;
const STEP_MILLISECONDS = 4000 / 60; // four emulator frames
const get = (id) => document.getElementById(id);
const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
let isPaused = false;

// Sends a request; returns what the network sees, the screen and the score.
async function ask(path) {
  const response = await fetch(path, { method: "POST" });
  if (!response.ok) throw new Error(`serve.py answered ${response.status} to ${path}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  return {
    observation: bytes.subarray(0, SIDE * SIDE * FRAMES),
    screen: bytes.subarray(SIDE * SIDE * FRAMES),
    score: Number(response.headers.get("X-Score")),
    lives: Number(response.headers.get("X-Lives")),
    isOver: response.headers.get("X-Over") === "1",
  };
}

async function choose(session, observation) {
  const input = new ort.Tensor("uint8", observation, [1, SIDE, SIDE, FRAMES]);
  const output = await session.run({ [session.inputNames[0]]: input });
  const qValues = Array.from(output[session.outputNames[0]].data);
  const best = qValues.indexOf(Math.max(...qValues));
  const isRandom = Math.random() < EPSILON;
  return [qValues, isRandom ? Math.floor(Math.random() * ACTIONS.length) : best];
}

// Draws an image whose pixels have the red, green and blue of `color(x, y)`.
function draw(id, width, height, color) {
  const image = new ImageData(width, height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      image.data.set([...color(x, y), 255], 4 * (y * width + x));
  get(id).getContext("2d").putImageData(image, 0, 0);
}

function show(state, qValues, action) {
  draw("screen", WIDTH, HEIGHT, (x, y) => {
    const at = 3 * (y * WIDTH + x);
    return state.screen.subarray(at, at + 3);
  });
  draw("frame", SIDE * FRAMES, SIDE, (x, y) => {
    const frame = Math.floor(x / SIDE); // oldest first
    const gray = state.observation[FRAMES * (y * SIDE + (x % SIDE)) + frame];
    return [gray, gray, gray];
  });
  get("score").value = state.score;
  get("lives").value = state.lives;
  const low = Math.min(...qValues), high = Math.max(...qValues);
  [...get("actions").rows].forEach((row, i) => {
    row.className = i === action ? "chosen" : "";
    row.cells[1].textContent = qValues[i].toFixed(3);
    const share = (qValues[i] - low) / (high - low || 1); // of the range
    row.cells[2].firstChild.style.width = `${2 + 98 * share}%`;
  });
}

async function play(session, games) {
  const scores = [];
  let state = await ask("reset"), steps = 0, started = performance.now();
  while (scores.length < games) {
    const begin = performance.now();
    const [qValues, action] = await choose(session, state.observation);
    show(state, qValues, action);
    state = await ask(`step?action=${action}`);
    if (state.isOver) {
      show(state, qValues, action);
      scores.push(state.score);
      const mean = scores.reduce((a, b) => a + b) / scores.length;
      get("games").value = `${scores.join(", ")} (mean ${mean.toFixed(1)})`;
      state = await ask("reset");
    }
    if (++steps % 30 === 0) {
      const rate = (30_000 / (performance.now() - started)).toFixed(0);
      get("speed").value = `${rate} actions per second`;
      started = performance.now();
    }
    if (!get("fast").checked) await wait(begin + STEP_MILLISECONDS - performance.now());
    while (isPaused) await wait(50);
  }
}

for (const name of ACTIONS) {
  const row = get("actions").insertRow();
  row.insertCell().textContent = name;
  row.insertCell();
  row.insertCell().innerHTML = '<div class="bar"></div>';
}
get("pause").onclick = () => {
  isPaused = !isPaused;
  get("pause").textContent = isPaused ? "Go on" : "Pause";
};
const games = new URLSearchParams(location.search).get("games");
get("fast").checked = games !== null;
try {
  ort.env.wasm.numThreads = 1; // more threads need headers that serve.py does not send
  const session = await ort.InferenceSession.create("breakout.onnx");
  await play(session, games === null ? Infinity : Number(games));
} catch (error) {
  get("error").textContent = String(error);
}
