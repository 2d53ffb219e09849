"""The command `nbvis collect`: the statistics of a network's layers over a data set, into a folder."""

import argparse
import hashlib
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor
from tqdm.auto import tqdm

from .engine import ImageFiles, ImageItems, Network, Statistics, digest
from .engine.arguments import whole
from .engine.statistics.collect import checked_options
from .engine.statistics.collector import Collector
from .engine.statistics.files import remove_unfinished
from .engine.statistics.layer_statistics import Options
from .processes import Processes, joined
from .sources import chosen, images_of, network_of

FILE = "statistics.npz"
_NOTES = 5
ABOUT = "Collects what every channel of a network does over a data set; the same command again goes on with a run."


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    text = "torchvision:NAME with its best weights, or module:function that returns a Network or a module"
    command.add_argument("--network", required=True, metavar="NETWORK", help=text)
    text = "a folder, a text file with a path and a label in each line, or module:function that returns a data set"
    command.add_argument("--images", required=True, metavar="IMAGES", help=text)
    command.add_argument("--out", required=True, type=Path, metavar="FOLDER", help=f"where {FILE} and checkpoints go")
    text = "names, or patterns such as 'layer3.*.conv?'; may be given several times (default: all layers)"
    command.add_argument("--layers", action="append", nargs="+", metavar="PATTERN", help=text)
    command.add_argument("--device", default="auto", help="such as cuda or cpu (default: the best there is)")
    command.add_argument("--batch", type=int, default=32, help="images in a batch (default: 32)")
    command.add_argument("--workers", type=int, default=0, help="processes that read images ahead (default: 0)")
    text = "height and width that files are scaled and cropped to (default: what the network was trained with)"
    command.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help=text)
    command.add_argument("--bins", type=int, default=50, help="of the histograms (default: 50)")
    text = "of the histograms (default: one that grows and loses nothing)"
    command.add_argument("--range", type=float, nargs=2, metavar=("LOW", "HIGH"), help=text)
    command.add_argument("--top", type=int, default=9, help="images kept for each channel (default: 9)")
    text = "what channels are correlated by (default: maxima)"
    command.add_argument("--correlation", choices=["maxima", "means", "positions", "none"], default="maxima", help=text)
    command.add_argument("--positions", type=int, help="take so many positions of each image (default: all)")
    command.add_argument("--seed", type=int, default=0, help="of what is drawn (default: 0)")
    command.add_argument("--checkpoint", type=float, default=60, metavar="SECONDS", help="between two (default: 60)")


def run(given: argparse.Namespace) -> None:
    """Collects, on this process or on all that `torchrun` has started, and writes `statistics.npz` into the folder.

    Raises:
        ValueError: if an argument does not fit, or the folder holds another run.
        OSError: if the statistics cannot be written; what was there before is kept.
    """
    correlation = None if given.correlation == "none" else given.correlation
    span = None if given.range is None else tuple(given.range)
    options = checked_options(given.bins, span, given.top, correlation, given.positions, given.seed)
    whole(given.batch, "--batch", 1)
    whole(given.workers, "--workers")
    if not given.checkpoint >= 0:
        raise ValueError(f"--checkpoint is a number of seconds from 0 up, not {given.checkpoint}")
    with joined(given.device) as processes:
        network = network_of(given.network, processes.device)
        images = images_of(given.images, given.size or network.input_size)
        _Run(given, processes, network, images, options).collect()


class _Run:
    """One run in one process."""

    def __init__(
        self, given: argparse.Namespace, processes: Processes, network: Network, images: ImageItems, options: Options
    ):
        self.given, self.processes, self.network, self.images = given, processes, network, images
        self.folder: Path = given.out
        self.options = options
        self.first = self._first_image()
        self.names = chosen(network, self.first, [each for some in given.layers or [] for each in some])
        self.part = self.folder / f"part-{processes.rank}.npz"

    def collect(self) -> None:
        """Goes on from the checkpoints to the end."""
        if self.processes.rank == 0:
            self._settle()
        self.processes.wait()
        before, done = self._before()
        collector = Collector(self.network, self.names, self.options, before)
        collector.prepare(self.first)
        found = collector.statistics
        if found.counted is None:
            found.counted = torch.zeros(0, dtype=torch.bool)
        self._say(
            f"{len(self.images):,} images, {int(done.sum()):,} of them done; {len(found)} layers of "
            f"{self.network.name}; the statistics take {found.nbytes / 1e6:,.1f} MB of memory in each process."
        )
        if not done.all():
            self._pass(collector, done)
        self._finish(found)

    def _pass(self, collector: Collector, done: Tensor) -> None:
        """Over the images of this process that are not done."""
        shard = (self.processes.rank, self.processes.count)
        given, found = self.given, collector.statistics
        batches = self.images.batches(given.batch, shard=shard, done=done, workers=given.workers)
        saved = time.monotonic()
        bar = tqdm(
            total=sum(map(len, batches.groups)),
            unit="image",
            unit_scale=self.processes.count,  # the others are as far
            disable=self.processes.rank > 0,
        )
        with bar, _stopping() as stopped:
            for batch in batches:
                collector.add(batch)
                bar.update(len(batch.indices) + len(batch.unreadable))
                if time.monotonic() - saved >= given.checkpoint or stopped():
                    self._checkpoint(found)
                    saved = time.monotonic()
                if stopped():
                    raise SystemExit(f"nbvis collect: stopped; the same command goes on from {self.part}")
            found.save(self.part)

    def _checkpoint(self, found: Statistics) -> None:
        """Saves what there is; a full disk does not end the run, since what was saved before is still there."""
        try:
            found.save(self.part)
        except OSError as error:
            print(f"nbvis collect: no checkpoint, the one before is kept: {error}", file=sys.stderr, flush=True)

    def _finish(self, found: Statistics) -> None:
        every = self.processes.merged(found)
        if every is not None:
            if not every.images:
                raise ValueError(f"no image of {self.given.images} could be read: {' '.join(every.notes)}")
            every.save(self.folder / FILE)
            for note in every.notes[:_NOTES]:
                self._say(note)
            more = f" ({len(every.notes) - _NOTES} more notes in it)" if len(every.notes) > _NOTES else ""
            self._say(f"{every.images:,} images in {self.folder / FILE}{more}")
        self.processes.wait()
        for path in self._own_parts():
            path.unlink(missing_ok=True)

    def _before(self) -> tuple[Statistics | None, Tensor]:
        """What this process has from earlier runs, and which images any process has."""
        whole_run = self.folder / FILE
        found = [Statistics.load(whole_run, self.network)] if not self.processes.rank and whole_run.exists() else []
        finished = self.processes.either(self._marks(found))
        parts = self._own_parts()
        for path in parts:
            part = Statistics.load(path, self.network)
            # A run that ended right after its parts were merged has left them behind.
            if not (self._marks([part]) & (finished | self._marks(found))).any():
                found.append(part)
        before = None
        for each in found:
            before = each if before is None else before.merge(each)
        if before is not None and any(path != self.part for path in parts):
            before.save(self.part)
            for path in parts:
                if path != self.part:
                    path.unlink()
        return before, self.processes.either(self._marks(found))

    def _marks(self, found: Sequence[Statistics]) -> Tensor:
        marks = torch.zeros(len(self.images), dtype=torch.bool)
        for each in found:
            if each.counted is not None:
                marks[: len(each.counted)] |= each.counted
        return marks

    def _own_parts(self) -> list[Path]:
        """The checkpoints that this process goes on with, also where there were more processes before."""
        numbers = {path: path.stem.removeprefix("part-") for path in sorted(self.folder.glob("part-*.npz"))}
        own = self.processes.rank, self.processes.count
        return [path for path, number in numbers.items() if number.isdigit() and int(number) % own[1] == own[0]]

    def _settle(self) -> None:
        """Makes the folder, or refuses one that holds another run."""
        files = self.images if isinstance(self.images, ImageFiles) else None
        paths = "".join(f"{path}\n" for path in files.paths) if files else ""
        settings = {
            "network": self.given.network,
            "weights": digest(self.network.module),
            "images": self.given.images,
            "number of images": len(self.images),
            "files": hashlib.blake2b(paths.encode(), digest_size=8).hexdigest(),
            "size": files.size if files else None,
            "layers": self.names,
            **asdict(self.options),
        }
        settings = json.loads(json.dumps(settings))
        path = self.folder / "settings.json"
        self.folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            known = json.loads(path.read_text(encoding="utf-8"))
            other = [key for key, value in settings.items() if known.get(key) != value]
            if other:
                told = "; ".join(f"{key}: {known.get(key)!r}, not {settings[key]!r}" for key in other)
                raise ValueError(f"{self.folder} holds another run ({told}): give another --out")
        path.write_text(json.dumps(settings, indent=1), encoding="utf-8")
        remove_unfinished(self.folder)

    def _first_image(self) -> Tensor:
        reasons = []
        for index in range(min(len(self.images), 100)):
            image = self.images[index]
            if isinstance(image, Tensor):
                return image[None]
            reasons.append(image)
        raise ValueError(f"none of the first {len(reasons)} images can be read: {'; '.join(reasons[:3])}")

    def _say(self, sentence: str) -> None:
        if self.processes.rank == 0:
            print(sentence, flush=True)


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Whether someone wants the run to end; asked between two batches, since half a batch must not count."""
    wanted: list[int] = []

    def want(number: int, _: object) -> None:
        if wanted:  # asked again: at once
            raise KeyboardInterrupt
        wanted.append(number)

    before = {each: signal.signal(each, want) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(wanted)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
