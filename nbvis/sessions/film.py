"""What a run looked like: its pictures, on disk while it goes."""

import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator
from itertools import chain
from typing import IO

from PIL import Image
from torch import Tensor

from nbvis.engine import DreamStep, PictureStep

from .film_files import RATE
from .frames import picture
from .worker import described

LONGEST = 600
"""A film has at most so many frames."""
DISK = 256 * 2**20
"""Bytes on disk at most, of the steps and of the rounds alike."""


class Reel:
    """Pictures in a temporary file; when there are too many, every second one goes, and only every second one comes.

    Args:
        room: bytes of the largest.
        most: number of pictures at most, even.

    Attributes:
        skipped: whether the newest picture was left out.
    """

    def __init__(self, room: int, most: int):
        self.skipped = False
        self._room, self._most = room, most
        self._every, self._count = 1, 0
        self._kept: list[tuple[int, str, tuple[int, int]]] = []  # slot in the file, mode and size of each
        self._free: list[int] = []
        self._slots = self._readers = 0
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None

    def __len__(self) -> int:
        """How many there are."""
        return len(self._kept)

    def add(self, make: Callable[[], Image.Image]) -> None:
        """Adds what `make` gives, unless it is to be left out."""
        self.skipped = self._count % self._every != 0
        self._count += 1
        if self.skipped:
            return
        made = make()
        with self._lock:
            # While a film is being made, what it may still have to read is not written over.
            file = self._opened()
            slot = self._slots if self._readers or not self._free else self._free.pop()
            self._slots = max(self._slots, slot + 1)
            file.seek(slot * self._room)
            file.write(made.tobytes())
            self._kept.append((slot, made.mode, made.size))
            if len(self._kept) > self._most:
                self._free += [slot for slot, _, _ in self._kept[1::2]]
                self._kept, self._every = self._kept[::2], 2 * self._every

    def frames(self) -> Iterator[Image.Image]:
        """Those that there are now, one after the other."""
        with self._lock:
            kept = list(self._kept)
            self._readers += 1
        try:
            for slot, mode, (width, height) in kept:
                with self._lock:
                    file = self._opened()
                    file.seek(slot * self._room)
                    pixels = file.read(width * height * len(mode))
                yield Image.frombytes(mode, (width, height), pixels)
        finally:
            with self._lock:
                self._readers -= 1

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="nbvis-")
            weakref.finalize(self, self._file.close)
        return self._file


class Film:
    """The start of a run, its steps and the ends of its rounds, as 8-bit pictures in files that go with it.

    Args:
        start: the picture that the run begins with, (batch, channels, height, width).
        longest: number of frames at most.
        disk: bytes of the steps, and of the rounds, at most.
        shown_as: what a batch looks like as one picture; by default its first image.

    Attributes:
        error: why it was not recorded to the end; empty if it was.
    """

    def __init__(
        self,
        start: Tensor,
        longest: int = LONGEST,
        disk: int = DISK,
        shown_as: Callable[[Tensor], Image.Image] = picture,
    ):
        self.error, self._picture = "", shown_as
        shown = shown_as(start)
        self._size, room = shown.size, len(shown.tobytes())
        most = max(2, (min(longest, disk // room) - 1) // 2 * 2)  # and for a moment one more
        self._steps, self._rounds = Reel(room, most), Reel(room, most)
        self._newest: PictureStep | None = None
        for reel in (self._steps, self._rounds):
            self._put(reel, lambda: shown)

    def record(self, step: PictureStep) -> None:
        """Adds the newest step."""
        before, self._newest = self._newest, step
        if isinstance(before, DreamStep) and isinstance(step, DreamStep) and before.round != step.round:
            self._put(self._rounds, lambda: self._picture(before.image))
        self._put(self._steps, lambda: self._picture(step.image))

    def frames(self) -> Iterator[Image.Image]:
        """The film so far, all of one size, the smaller octaves enlarged; its last frame is the newest picture.

        It has a frame for each step or, of a loop whose rounds last a second, for each round; of many, evenly fewer.

        Raises:
            OSError: if it was not recorded to the end.
        """
        if self.error:
            raise OSError(f"the film could not be recorded: {self.error}")
        newest, reel = self._newest, self._rounds if len(self._rounds) > RATE else self._steps
        end = [self._picture(newest.image)] if newest and (reel is self._rounds or reel.skipped) else []
        return (self._large(frame) for frame in chain(reel.frames(), end))

    def _large(self, frame: Image.Image) -> Image.Image:
        return frame if frame.size == self._size else frame.resize(self._size, Image.Resampling.BILINEAR)

    def _put(self, reel: Reel, make: Callable[[], Image.Image]) -> None:
        if self.error:
            return
        try:
            reel.add(make)
        except OSError as error:
            self.error = described(error)
