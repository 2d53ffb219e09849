"""Is dropout data augmentation? A small experiment after Bouthillier et al. 2015, arXiv 1506.08700; prints a table.

Few of scikit-learn's 8 × 8 digits train a small network, all others test it. It is trained

- plain: without dropout, on the digits;
- dropout: with dropout, on the digits;
- augmented at a layer: without dropout, on what `augment` makes of the digits: each presentation is the picture at
  which the network without dropout has the activation that the one trained with dropout had under a mask, at a noise
  level drawn for each presentation, as the paper proposes;
- noise: without dropout, on the digits with Gaussian noise as large as the change that the augmentation makes at the
  output, pixel for pixel in the mean, so that it is seen whether the direction of the change matters.

All have the same layers, the same start, the same number of updates and the same order of pictures; a seed changes
them all, and which digits train. An augmented picture is read back from its file.
"""

import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torchvision.datasets import ImageFolder
from torchvision.transforms import Compose, Grayscale, ToTensor

from nbvis.engine import augment

SEEDS = (0, 1, 2)
TRAINING = 200
"""Digits to learn from; with all of them every network is right on nearly every test digit."""
EPOCHS = 120
PRESENTATIONS = 8
NOISE = (0.0, 0.5)
"""Lowest and highest noise level; the network has dropout of 0.5."""
LAYERS = {"second hidden": "4", "output": "7"}

Draw = Callable[[int, Tensor], Tensor]
"""Of an epoch and the pictures' indices, the pictures to learn from."""


def network(seed: int, p: float) -> nn.Sequential:
    """Two hidden layers, each followed by dropout."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(64, 128),
            nn.ReLU(),
            nn.Dropout(p),
            nn.Linear(128, 128),
            nn.ReLU(),
            nn.Dropout(p),
            nn.Linear(128, 10),
        )


def trained(seed: int, p: float, draw: Draw, labels: Tensor) -> nn.Sequential:
    """A network that learnt from what is drawn."""
    module = network(seed, p).train()
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        orders = [torch.randperm(len(labels)) for _ in range(EPOCHS)]
        for epoch, order in enumerate(orders):
            for chosen in order.split(32):
                optimizer.zero_grad()
                F.cross_entropy(module(draw(epoch, chosen)), labels[chosen]).backward()
                optimizer.step()
    return module.eval()


def presentations(folder: Path, images: Tensor, labels: Tensor, module: nn.Module, layer: str, seed: int) -> Tensor:
    """All that `augment` made of the images, read back from its folder: (presentations, images, 1, 8, 8)."""
    table = augment(
        module,
        list(zip(images, labels.tolist(), strict=True)),
        layer,
        folder,
        samples=PRESENTATIONS,
        p=NOISE,
        batch=len(images),
        seed=seed,
        steps=60,
        tolerance=1e-2,
    )
    files = ImageFolder(folder, Compose([Grayscale(), ToTensor()]))
    place = {str(Path(path).relative_to(folder)): k for k, (path, _) in enumerate(files.samples)}
    found = torch.zeros(PRESENTATIONS, *images.shape)
    for row in table:
        found[row.sample, row.original] = files[place[row.file]][0]
    moved = (found - images).flatten(2).norm(dim=2).mean()
    print(
        f"seed {seed}, layer {layer}: {sum(row.converged for row in table)} of {len(table)} within 0.01; "
        f"mean displacement {moved:.2f}, mean norm of a digit {images.flatten(1).norm(dim=1).mean():.2f}"
    )
    return found


def main() -> None:
    """Prints the accuracies."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    started = time.process_time()
    pixels, classes = map(torch.tensor, load_digits(return_X_y=True))
    pictures = pixels.float().view(-1, 1, 8, 8) / 16
    results: dict[str, list[tuple[float, float]]] = {}
    for seed in SEEDS:
        order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(seed))
        images, labels = pictures[order[:TRAINING]], classes[order[:TRAINING]]
        tests, answers = pictures[order[TRAINING:]], classes[order[TRAINING:]]

        def note(name: str, module: nn.Module, tests: Tensor = tests, answers: Tensor = answers) -> None:
            with torch.no_grad():
                logits = module(tests)
            right = (logits.argmax(1) == answers).float().mean().item()
            results.setdefault(name, []).append((right, F.cross_entropy(logits, answers).item()))

        def plain(epoch: int, chosen: Tensor, images: Tensor = images) -> Tensor:
            return images[chosen]

        note("plain", trained(seed, 0.0, plain, labels))
        teacher = trained(seed, 0.5, plain, labels)
        note("dropout", teacher)
        for name, layer in LAYERS.items():
            with tempfile.TemporaryDirectory() as folder:
                found = presentations(Path(folder), images, labels, teacher, layer, seed)

            def presented(epoch: int, chosen: Tensor, found: Tensor = found) -> Tensor:
                return found[epoch % PRESENTATIONS, chosen]

            note(f"augmented, {name}", trained(seed, 0.0, presented, labels))
        spread = (found - images).square().mean().sqrt()
        noisy = (images + spread * torch.randn(found.shape, generator=torch.Generator().manual_seed(seed))).clamp(0, 1)
        note("noise", trained(seed, 0.0, lambda epoch, chosen: noisy[epoch % PRESENTATIONS, chosen], labels))  # noqa: B023
    print(f"\n{TRAINING} digits to learn from, {len(pictures) - TRAINING} to test; accuracy in % and cross entropy")
    print(f"{'':26}{''.join(f'  seed {seed}' for seed in SEEDS)}    mean ± sd   over plain ± sd   cross entropy")
    base = [100 * accuracy for accuracy, _ in results["plain"]]
    for name, found in results.items():
        right = [100 * accuracy for accuracy, _ in found]
        gains = [ours - plain for ours, plain in zip(right, base, strict=True)]
        gain = f"{statistics.mean(gains):+.2f} ± {statistics.stdev(gains):.2f}"
        cells = "".join(f"{each:>8.2f}" for each in right)
        entropy = statistics.mean(entropy for _, entropy in found)
        middle = f"{statistics.mean(right):>6.2f} ± {statistics.stdev(right):.2f}"
        print(f"{name:26}{cells}   {middle}   {gain:>15}{entropy:>16.3f}")
    print(f"\n{time.process_time() - started:.0f} s of CPU time")


if __name__ == "__main__":
    main()
