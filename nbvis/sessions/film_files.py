"""Films as files, written frame by frame, so that one may be longer than the memory."""

from collections.abc import Iterable, Mapping
from itertools import chain
from types import MappingProxyType
from typing import IO, Protocol

from PIL import Image
from PIL.GifImagePlugin import getdata, getheader

RATE = 20
"""Frames a second."""
QUALITY = "16"
"""Of H.264, from 0 to 51, less is better: the grain of a dream is what one looks at."""


class Written(Protocol):
    """Writes frames of one size to a binary file."""

    def __call__(self, file: IO[bytes], frames: Iterable[Image.Image]) -> None:
        """Writes them."""
        ...


def write_mp4(file: IO[bytes], frames: Iterable[Image.Image]) -> None:
    """Writes a film as MP4: H.264 with halved colour (yuv420p), which every browser plays.

    Its sides are even, so that a last row or column is there twice where there would be an odd number.
    """
    import av

    frames = iter(frames)
    first = next(frames)
    with av.open(file, "w", format="mp4") as film:
        stream = film.add_stream("libx264", rate=RATE, options={"crf": QUALITY, "preset": "fast"})
        stream.pix_fmt, stream.width, stream.height = "yuv420p", *_even(first.size)
        for frame in chain([first], frames):
            film.mux(stream.encode(av.VideoFrame.from_image(_evened(frame))))
        film.mux(stream.encode())


def write_gif(file: IO[bytes], frames: Iterable[Image.Image]) -> None:
    """Writes a film as GIF that begins again at its end, each frame in 256 colours of its own."""
    # Pillow's own way of saving several frames holds them all until the last has come.
    for number, frame in enumerate(frames):
        shown = _in_256_colours(frame.convert("RGB"))
        if number == 0:
            file.writelines(getheader(shown, info={"loop": 0, "duration": 1000 // RATE})[0])
        file.writelines(getdata(shown, duration=1000 // RATE, include_color_table=number > 0))
    file.write(b";")


FILMS: Mapping[str, Written] = MappingProxyType({".mp4": write_mp4, ".gif": write_gif})
"""What writes a film, by the suffix of its file."""


def _in_256_colours(frame: Image.Image) -> Image.Image:
    # They are chosen by a grid of pixels: by all of them would take ten times as long, for a fifth less of an error.
    sample = frame.resize((min(64, frame.width), min(64, frame.height)), Image.Resampling.NEAREST)
    return frame.quantize(palette=sample.quantize(256), dither=Image.Dither.NONE)


def _even(size: tuple[int, int]) -> tuple[int, int]:
    return size[0] + size[0] % 2, size[1] + size[1] % 2


def _evened(frame: Image.Image) -> Image.Image:
    """The frame in colour with even sides, its last row and column doubled where that takes one."""
    frame, size = frame.convert("RGB"), _even(frame.size)
    if frame.size == size:
        return frame
    wide = Image.new("RGB", size)
    for corner in ((1, 1), (1, 0), (0, 1), (0, 0)):
        wide.paste(frame, corner)
    return wide
