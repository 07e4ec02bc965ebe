"""Draws the frames of a video: the screen, and beside it what the network computes."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

if TYPE_CHECKING:
    from keras_dqn.video.recording import Game

HEIGHT, PANEL_WIDTH, MARGIN = 420, 348, 12  # pixels at scale 1
FRAME_SIDE = 78  # of one frame of an observation
BACKGROUND, TEXT, MUTED = "#14171c", "#e8eaed", "#9aa0a6"
BAR, CHOSEN, RANDOM = "#4a5568", "#4caf50", "#ff9800"
_CURVE_STEPS = 150  # agent steps of the curve of values


class Drawing:
    """Draws the moments of a game.

    Args:
        game: `Game`.
        scale: Integer, pixels of the video for each pixel of the layout.
        has_panel: Boolean, whether the panel beside the screen is drawn.
        saliency: Function of one observation that returns an array of its shape: how
            much the Q-values depend on it. It is drawn in red. Or `None`.

    Attributes:
        size: `(width, height)` of a frame in pixels, both even.
    """

    def __init__(
        self,
        game: Game,
        scale: int = 2,
        has_panel: bool = True,
        saliency: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        from PIL import Image
        from PIL import ImageDraw
        from PIL import ImageFont

        self._image, self._draw = Image, ImageDraw
        self._game, self._scale, self._has_panel = game, scale, has_panel
        self._saliency = saliency
        self._fonts: dict[int, Any] = {
            points: ImageFont.load_default(points * scale) for points in (12, 14, 26)
        }
        height, width = game.moments[0].screen.array().shape[:2]
        self._screen_width = max(2, round(HEIGHT * width / height / 2) * 2)
        panel = PANEL_WIDTH if has_panel else 0
        self.size = (self._screen_width + panel) * scale, HEIGHT * scale
        q_values = np.stack([m.outputs.q_values[0] for m in game.moments])
        offsets = q_values - q_values.mean(axis=1, keepdims=True)
        # Almost all bars fit; the few that do not are cut.
        self._largest_offset = float(np.quantile(np.abs(offsets), 0.995)) or 1.0
        self._values = np.array([_value(m.outputs) for m in game.moments])

    def frame(self, index: int) -> np.ndarray:
        """Returns the frame of moment `index`, uint8 RGB, `(height, width, 3)`."""
        image = self._image.new("RGB", self.size, BACKGROUND)
        screen = self._image.fromarray(self._game.moments[index].screen.array())
        size = self._screen_width * self._scale, HEIGHT * self._scale
        image.paste(screen.resize(size, self._image.Resampling.NEAREST))
        if self._has_panel:
            self._draw_panel(_Pen(self, image), index)
        return np.asarray(image)

    def _draw_panel(self, pen, index):
        game, moment = self._game, self._game.moments[index]
        pen.text(0, 8, game.env_id, 14)
        pen.text(0, 26, f"step {index:,}   epsilon {game.epsilon:g}", 12, MUTED)
        pen.text(pen.right, 4, f"{moment.score:g}", 26, anchor="ra")
        note = "" if self._saliency is None else ", red: what Q depends on"
        pen.text(0, 54, f"what the network sees{note}", 12, MUTED)
        self._draw_observation(pen, moment, 72)
        value = self._values[index]
        name = "V, the value of the state" if _has_value(moment.outputs) else "max Q"
        pen.text(0, 160, f"{name}   {value:.3f}", 12, MUTED)
        self._draw_values(pen, index, 178, 40)
        pen.text(0, 228, "Q of each action, and how far from their mean", 12, MUTED)
        self._draw_actions(pen, moment, 248)

    def _draw_observation(self, pen, moment, top):
        observation = moment.observation.array()
        if observation.ndim != 3 or observation.dtype != np.uint8:
            numbers = [f"{x:.3g}" for x in observation.ravel()[:12]]
            for row in range(0, len(numbers), 4):
                pen.text(0, top + 18 * (row // 4), "   ".join(numbers[row : row + 4]))
            return
        channels = observation.shape[-1]
        frames = [observation] if channels == 3 else np.moveaxis(observation, -1, 0)
        if self._saliency is not None and channels != 3:
            saliency = np.moveaxis(self._saliency(observation), -1, 0)
            saliency = saliency / (np.quantile(saliency, 0.999) or 1.0)
            frames = [_reddened(*pair) for pair in zip(frames, saliency, strict=True)]
        for number, frame in enumerate(frames[-4:]):
            pen.picture(number * (FRAME_SIDE + 4), top, frame, FRAME_SIDE)

    def _draw_values(self, pen, index, top, height):
        values = self._values[max(0, index - _CURVE_STEPS) : index + 1]
        low, high = float(self._values.min()), float(self._values.max())
        span = (high - low) or 1.0
        points = [
            (pen.right * i / _CURVE_STEPS, top + height * (1.0 - (v - low) / span))
            for i, v in enumerate(values)
        ]
        pen.curve(points, CHOSEN)

    def _draw_actions(self, pen, moment, top):
        names, q_values = self._game.action_names, moment.outputs.q_values[0]
        height = min(32.0, (HEIGHT - MARGIN - top) / len(names))
        middle, half = 175, 70  # of the bars, pixels
        for action, (name, q_value) in enumerate(zip(names, q_values, strict=True)):
            y, color = top + action * height, TEXT
            offset = (q_value - q_values.mean()) / self._largest_offset
            length = half * float(np.clip(offset, -1.0, 1.0))
            fill = BAR
            if action == moment.action:
                fill = color = CHOSEN if moment.is_greedy else RANDOM
            pen.box(middle, y + 2, middle + length, max(y + 2, y + height - 4), fill)
            points = 12 if height >= 15 else 10
            pen.text(0, y, name.lower(), points, color)
            pen.text(pen.right, y, f"{q_value:.3f}", points, color, anchor="ra")
            if action == moment.action and not moment.is_greedy:
                pen.text(middle + half + 4, y, "random", points, RANDOM)


class Frames(Sequence[np.ndarray]):
    """The frames of a part of a game, drawn when they are asked for.

    Args:
        drawing: `Drawing`.
        span: `(first, end)`, numbers of moments.
        stop: Callable without arguments. When it returns true, the next frame raises
            `InterruptedError`.
    """

    def __init__(
        self, drawing: Drawing, span: tuple[int, int], stop: Callable[[], bool]
    ) -> None:
        self._drawing, self._moments, self._stop = drawing, range(*span), stop

    def __len__(self) -> int:
        return len(self._moments)

    def __getitem__(self, index: Any) -> Any:
        if self._stop():
            raise InterruptedError
        moments = self._moments[index]
        if isinstance(moments, range):
            return [self._drawing.frame(moment) for moment in moments]
        return self._drawing.frame(moments)


class _Pen:
    """Draws on the panel of a frame, in its coordinates at scale 1."""

    right = PANEL_WIDTH - 2 * MARGIN

    def __init__(self, drawing, image):
        self._drawing, self._target, self._scale = drawing, image, drawing._scale
        self._draw = drawing._draw.Draw(image)
        self._left = drawing._screen_width + MARGIN

    def text(self, x, y, text, points=12, color=TEXT, anchor="la"):
        fonts = self._drawing._fonts
        font = fonts.get(points) or fonts[12].font_variant(size=points * self._scale)
        self._draw.text(self._at(x, y), text, color, font, anchor)

    def box(self, x0, y0, x1, y1, color):
        corners = [*self._at(min(x0, x1), y0), *self._at(max(x0, x1), y1)]
        self._draw.rectangle(corners, color)

    def curve(self, points, color):
        if len(points) > 1:
            at = [self._at(x, y) for x, y in points]
            self._draw.line(at, color, self._scale)

    def picture(self, x, y, pixels, side):
        image = self._drawing._image
        picture = image.fromarray(np.ascontiguousarray(pixels))
        side *= self._scale
        resized = picture.resize((side, side), image.Resampling.NEAREST)
        x, y = self._at(x, y)
        self._target.paste(resized.convert("RGB"), (int(x), int(y)))

    def _at(self, x, y):
        return (self._left + x) * self._scale, y * self._scale


def _reddened(frame, saliency):
    """Returns a gray frame in RGB, red where the saliency is near 1."""
    share = np.clip(saliency[..., None], 0.0, 1.0)
    red = np.array([255.0, 40.0, 40.0])
    return np.uint8(frame[..., None] * (1.0 - share) + red * share)


def _has_value(outputs):
    return outputs.values is not None


def _value(outputs):
    """V(s), or the largest Q-value where there is no V."""
    return float(
        outputs.values[0] if _has_value(outputs) else outputs.q_values[0].max()
    )
