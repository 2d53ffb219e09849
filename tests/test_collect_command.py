"""`nbvis collect`, run for real: alone and by torchrun, killed and gone on with, on a disk that fills up."""

import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nbvis import cli
from nbvis.engine import Batch, Statistics, collect
from nbvis.engine.statistics import files

pytestmark = pytest.mark.timeout(600)  # processes that import torch, several at once on busy cores

MINE = '''
import os
import signal
from pathlib import Path

import torch
from torch import nn

FOLDER = Path(__file__).parent


def network():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        parts = [nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 4, 3), nn.ReLU6(), nn.Flatten(), nn.Linear(4 * 16, 3)]
        return nn.Sequential(*parts).double()


def images(count=37):
    chance = torch.Generator().manual_seed(1)
    return torch.rand(count, 3, 8, 8, generator=chance, dtype=torch.float64)


class Deadly:
    """A data set of which one image kills whoever reads it, the first time."""

    def __init__(self, number):
        self.images, self.number, self.mark = images(), number, FOLDER / "killed"

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        if index == self.number and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.images[index], "label"


def deadly():
    return Deadly(28)


def stopped():
    class Stopped(Deadly):
        def __getitem__(self, index):
            if index == self.number and not self.mark.exists():
                self.mark.touch()
                os.kill(os.getpid(), signal.SIGTERM)
            return self.images[index]

    return Stopped(9)


def broken():
    class Broken(list):
        def __getitem__(self, index):
            if index in (2, 30):
                raise OSError("worn out")
            return super().__getitem__(index)

    return Broken(images())


def once():
    return iter(images())


def none():
    return []
'''
COUNTED = ("count", "not_finite", "zero_fraction", "saturated_fraction", "histogram", "edges")
SUMMED = ("mean", "std", "correlation")
TOPS = ("top_indices", "top_positions", "bottom_indices", "bottom_positions")
# A network's answer to an image may differ in its last bit with the batch that the image is in, and after a kill the
# batches are others.
VALUES = ("minimum", "maximum", "top_values", "bottom_values")


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A folder, where we are, with a module of networks and data sets."""
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    yield tmp_path
    sys.modules.pop("mine", None)


def command(images="mine:images", *more: str, network="mine:network", out="stats") -> list[str]:
    given = ["--network", network, "--images", images, "--out", out, "--batch", "4", "--checkpoint", "0"]
    return ["collect", *given, "--device", "cpu", *more]


def launched(arguments: list[str], processes: int = 0) -> subprocess.CompletedProcess[str]:
    """Runs it as its own process, or by torchrun as several; it ends by itself or is ended."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    start = [sys.executable, *(torchrun if processes else []), "-m", "nbvis", *arguments]
    paths = os.pathsep.join(
        [str(Path(cli.__file__).parent.parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    with subprocess.Popen(
        start, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            out, err = process.communicate(timeout=240)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(start, process.returncode, out, err)


def expected(count=37, skipped=()) -> Statistics:
    """One pass over all, image by image in their order."""
    from mine import images, network  # pyright: ignore[reportMissingImports]

    every = images(count)
    groups = [[k for k in range(start, min(start + 4, count)) if k not in skipped] for start in range(0, count, 4)]
    return collect(network(), [Batch(every[group], group) for group in groups])


def same(found: Statistics, wanted: Statistics) -> None:
    assert list(found) == list(wanted) and found.images == wanted.images
    for name, layer in wanted.items():
        for each in COUNTED + TOPS:
            torch.testing.assert_close(getattr(found[name], each), getattr(layer, each), rtol=0, atol=0, equal_nan=True)
        for each in SUMMED + VALUES:
            torch.testing.assert_close(
                getattr(found[name], each), getattr(layer, each), rtol=1e-12, atol=1e-12, equal_nan=True
            )


def saved(folder: str = "stats") -> Statistics:
    from mine import network  # pyright: ignore[reportMissingImports]

    return Statistics.load(Path(folder) / "statistics.npz", network())


def refused(arguments: list[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    return str(stop.value)


def test_a_run_alone_is_what_collect_gives(mine, capsys):
    cli.main(command())
    same(saved(), expected())
    assert sorted(path.name for path in Path("stats").iterdir()) == ["settings.json", "statistics.npz"]
    out, err = capsys.readouterr()
    assert re.search(
        r"37 images, 0 of them done; 6 layers of Sequential; the statistics take \d+\.\d MB of memory", out
    )
    assert out.endswith(f"37 images in {Path('stats') / 'statistics.npz'}\n")
    assert "37.0/37.0" in err and "image/s]" in err, "progress, with rate and time to go"


def test_a_finished_run_is_not_run_again(mine, capsys, monkeypatch):
    cli.main(command())
    before = saved()
    monkeypatch.setattr("mine.images", lambda: Untouched(37))
    capsys.readouterr()
    cli.main(command())
    assert "37 images, 37 of them done" in capsys.readouterr().out
    same(saved(), before)


class Untouched:
    """A data set of which only the first image may be read, for the layers' shapes."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        assert index == 0
        return torch.rand(3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_a_killed_run_goes_on_from_its_last_checkpoint(mine):
    died = launched(command("mine:deadly"))
    assert died.returncode == -signal.SIGKILL and Path("killed").exists()
    assert Statistics.load("stats/part-0.npz").images == 28
    Path("stats/.part-2.npz.abc.part").write_text("what one that was killed while it wrote leaves")
    done = launched(command("mine:deadly"))
    assert done.returncode == 0, done.stderr
    assert "37 images, 28 of them done" in done.stdout
    same(saved(), expected())
    assert sorted(path.name for path in Path("stats").iterdir()) == ["settings.json", "statistics.npz"]


def test_a_run_that_is_told_to_stop_saves_what_it_has(mine):
    stopped = launched(command("mine:stopped", "--checkpoint", "1000"))
    assert stopped.returncode == 1 and "the same command goes on from stats" in stopped.stderr
    assert Statistics.load("stats/part-0.npz").images == 12
    cli.main(command("mine:stopped"))
    same(saved(), expected())


def test_two_processes_share_the_images(mine):
    done = launched(command("mine:images", "--layers", "?"), processes=2)
    assert done.returncode == 0, done.stderr
    same(saved(), expected())
    assert done.stdout.count("37 images in") == 1


def test_one_of_three_processes_is_killed_and_the_run_goes_on_with_three_and_with_two(mine):
    """Image 28 is that of process 1; with another number of processes their checkpoints are shared anew."""
    died = launched(command("mine:deadly"), processes=3)
    assert died.returncode != 0 and Path("killed").exists() and not Path("stats/statistics.npz").exists()
    parts = [Statistics.load(path) for path in Path("stats").glob("part-*.npz")]
    assert sum(part.images for part in parts) >= 8
    two = Path("two")
    subprocess.run(["cp", "-r", "stats", str(two)], check=True)
    done = launched(command("mine:deadly"), processes=3)
    assert done.returncode == 0, done.stderr
    same(saved(), expected())
    fewer = launched(command("mine:deadly", out="two"), processes=2)
    assert fewer.returncode == 0, fewer.stderr
    same(saved("two"), expected())
    assert sorted(path.name for path in two.iterdir()) == ["settings.json", "statistics.npz"]


def test_more_processes_than_images(mine):
    (mine / "mine.py").write_text(MINE.replace("count=37", "count=1"))
    done = launched(command(), processes=2)
    assert done.returncode == 0, done.stderr
    assert saved().images == 1


def test_parts_that_were_merged_already_are_not_counted_again(mine):
    cli.main(command())
    saved().save("stats/part-0.npz")
    cli.main(command())
    same(saved(), expected())


def test_images_that_cannot_be_read_are_counted_and_skipped(mine, capsys):
    cli.main(command("mine:broken"))
    assert saved().unreadable == 2 and saved().images == 35
    assert "Skipped 2 images that could not be read (2: 2: worn out; 30: 30: worn out)." in capsys.readouterr().out
    same(saved(), expected(skipped=(2, 30)))


def test_a_full_disk_loses_nothing_that_was_saved_before(mine, monkeypatch, capsys):
    writes = []

    def full(handle):
        writes.append(handle)
        if 3 <= len(writes) <= 5 or len(writes) >= 11:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    message = refused(command())
    assert "No space left on device" in message
    err = capsys.readouterr().err
    assert err.count("nbvis collect: no checkpoint, the one before is kept") == 3
    assert sorted(path.name for path in Path("stats").iterdir()) == ["part-0.npz", "settings.json"]
    assert Statistics.load("stats/part-0.npz").images == 37
    monkeypatch.undo()
    os.chdir(mine)
    cli.main(command())
    same(saved(), expected())


def test_a_folder_of_pictures_and_a_list_of_them(mine, capsys):
    folder = mine / "pictures" / "inner"
    folder.mkdir(parents=True)
    for k in range(6):
        Image.fromarray(np.random.default_rng(k).integers(0, 255, (12, 10, 3), dtype=np.uint8)).save(
            folder / f"{k}.png"
        )
    (folder / "6.png").write_bytes(b"no picture")
    (mine / "list.txt").write_text("".join(f"pictures/inner/{k}.png,{k}\n" for k in range(7)))
    cli.main(command("pictures", "--size", "8", "8"))
    cli.main(command("list.txt", "--size", "8", "8", "--workers", "1", out="listed"))
    assert saved().images == 6 and saved().unreadable == 1
    same(saved("listed"), saved())


def test_layers_are_chosen_by_patterns(mine):
    cli.main(command("mine:images", "--layers", "[13]", "--layers", "5", "0", "--correlation", "none", "--bins", "7"))
    assert list(saved()) == ["0", "1", "3", "5"]
    assert saved().options.correlation is None and saved()["0"].histogram.shape == (5, 7)


def test_another_run_in_the_folder_is_refused(mine):
    cli.main(command("mine:images", "--bins", "20"))
    before = Path("stats/statistics.npz").read_bytes()
    assert "stats holds another run (bins: 20, not 30): give another --out" in refused(
        command("mine:images", "--bins", "30")
    )
    (mine / "mine.py").write_text(MINE.replace("manual_seed(3)", "manual_seed(4)"))
    sys.modules.pop("mine")
    assert re.search(
        r"stats holds another run \(weights: '\w+', not '\w+'\)", refused(command("mine:images", "--bins", "20"))
    )
    assert Path("stats/statistics.npz").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (command(network="resnet50"), "--network is torchvision:NAME, or module:function, not 'resnet50'"),
        (command(network="torchvision:resnet5"), "torchvision has no model 'resnet5'; did you mean"),
        (command(network="mine:netwerk"), "--network: module 'mine' has no function 'netwerk'; did you mean 'network'"),
        (command(network="nowhere:network"), "No module named 'nowhere'"),
        (command(network="mine:images"), "expected a Network or an nn.Module, got Tensor"),
        (command("mine:once"), "--images mine:once gives a generator|_iterator|iterator; what is shared"),
        (command("mine:none"), "--images mine:none gives an empty data set"),
        (command("nothing"), "there is no folder and no list of pictures 'nothing'"),
        (command("mine:images", "--layers", "conv*"), r"no layer matches 'conv\*'; there are '0', '1'"),
        (command("mine:images", "--batch", "0"), "--batch is a whole number from 1 up, not 0"),
        (command("mine:images", "--checkpoint", "-1"), "--checkpoint is a number of seconds from 0 up, not -1"),
        (command("mine:images", "--range", "2", "1"), r"range is None or \(low, high\) with low < high"),
    ],
)
def test_what_does_not_fit_is_told_before_any_work(mine, arguments, sentence):
    assert re.search(sentence, refused(arguments))
    assert not Path("stats").exists()
