"""A restored photograph on the stage: of its millions of pixels those that a screen has room for."""

from functools import lru_cache

from sidlib.human_check.view import find_part

SCREEN_PX = 1600  # no side of what is sent is longer


class Large:
    """What is shown of a restore.Restoration: the whole, reduced, and any part at up to a pixel a pixel.

    Attributes:
        restoration: the Restoration; levels: it, and halves of it until one fits a screen.
    """

    def __init__(self, restoration):
        self.restoration, self.levels = restoration, [restoration]
        while max(self.levels[-1].shape) > SCREEN_PX:
            self.levels.append(self.levels[-1].halve())
        self.show = lru_cache(4)(self._show)

    def _show(self, stops, view):
        """Return the part that a View shows, at a brightness in stops, as stage.Stage.pictures wants it."""
        height, width = self.restoration.shape[:2]
        fits = (max(level.shape) <= SCREEN_PX * view.zoom for level in self.levels)
        number = next(number for number, fit in enumerate(fits) if fit)
        rows, columns = find_part(self.levels[number].shape, view)
        picture = self.levels[number].render(stops, (rows, columns))
        across, down = 2**number / width, 2**number / height  # of a pixel, as fractions of the whole
        return {
            "name": "",
            "title": "restored at full size",
            "detail": "",
            "caption": f"{width} × {height} pixels, {stops:+.1f} stops",
            "size": [width, height],
            "part": [across * columns.start, down * rows.start, across * picture.shape[1], down * picture.shape[0]],
            "height": picture.shape[0],
            "width": picture.shape[1],
            "pixels": ((picture + 128.0) // 257).astype("uint8").tobytes(),
        }
