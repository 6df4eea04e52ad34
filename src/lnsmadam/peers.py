"""Samples per second, one at a time, of the golden network and of float libraries: ``python -m lnsmadam.peers``.

All train the same perceptron on digits, 64-32-10, forward, backward and update for each sample, on one core. Float
libraries are measured where they can be imported: ``torch`` is no dependency of this project (``--torch PYTHON``
measures it in another environment's interpreter).
"""

import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

from lnsmadam.datasets import TASKS
from lnsmadam.pages import markdown, put_tables

SIZES = TASKS["digits"].sizes
#: Runs in any interpreter that has torch and NumPy, which need not have this package.
_TORCH = """
import time, numpy as np, torch
torch.set_num_threads(1)
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear({inputs}, {hidden}), torch.nn.ReLU(), torch.nn.Linear({hidden}, {classes}))
adam = torch.optim.Adam(model.parameters(), lr=0.001{options})
loss = torch.nn.CrossEntropyLoss()
rng = np.random.default_rng(0)
x = torch.from_numpy(rng.random(({count}, 1, {inputs}), dtype=np.float32))
y = torch.from_numpy(rng.integers(0, {classes}, ({count}, 1)))
def run():
    for sample, label in zip(x, y):
        adam.zero_grad()
        loss(model(sample), label).backward()
        adam.step()
run()
rates = []
for _ in range(3):
    start = time.perf_counter()
    run()
    rates.append({count} / (time.perf_counter() - start))
print(torch.__version__, max(rates))
"""


def _best_rate(run: Callable[[], Any], count: int, repetitions: int = 3) -> float:
    """Samples per second of the best repetition, after one that is not counted."""
    run()
    rates = []
    for _ in range(repetitions):
        start = time.perf_counter()
        run()
        rates.append(count / (time.perf_counter() - start))
    return max(rates)


def golden_rate(preset: str) -> float:
    """The compiled golden network's."""
    from lnsmadam.golden.trainer.config import network_preset
    from lnsmadam.golden.trainer.kernel import CompiledNetwork
    from lnsmadam.golden.trainer.state import encode_inputs, initial

    config, split = network_preset(preset, SIZES), TASKS["digits"].load()
    network = CompiledNetwork(config, initial(config, 0))
    words = encode_inputs(config, split.x_train)
    return _best_rate(lambda: network.train(words, split.y_train), len(words))


def scikit_learn_rate(count: int = 500) -> float:
    """scikit-learn's ``MLPClassifier.partial_fit`` under Adam, one sample a call."""
    from sklearn.neural_network import MLPClassifier

    split = TASKS["digits"].load()
    model = MLPClassifier(SIZES[1:-1], batch_size=1, random_state=0)
    x, y = split.x_train[:count], split.y_train[:count]
    with warnings.catch_warnings():
        # Deprecation notices of its own dependencies.
        warnings.simplefilter("ignore")
        model.partial_fit(x[:1], y[:1], classes=np.arange(SIZES[-1]))

        def run() -> None:
            for index in range(count):
                model.partial_fit(x[index : index + 1], y[index : index + 1])

        return _best_rate(run, count)


def torch_rate(python: str = sys.executable, options: str = "", count: int = 1000) -> tuple[str, float] | None:
    """PyTorch's version and rate under Adam, one thread; ``None`` where that interpreter does not have it.

    Parameters
    ----------
    python : str
        An interpreter.
    options : str
        More arguments of ``torch.optim.Adam``, such as ``fused=True``.
    count : int
        Samples a run.

    Raises
    ------
    ValueError
        It is there but fails.
    """
    script = _TORCH.format(
        inputs=SIZES[0], hidden=SIZES[1], classes=SIZES[2], count=count, options=f", {options}" if options else ""
    )
    done = subprocess.run([python, "-c", script], capture_output=True, text=True, check=False)
    if done.returncode:
        if "No module named 'torch'" in done.stderr:
            return None
        raise ValueError(f"PyTorch cannot be measured: {done.stderr.strip().splitlines()[-1]}")
    version, rate = done.stdout.split()
    return version, float(rate)


def rates(python: str = sys.executable) -> Iterator[tuple[str, float | None]]:
    """What, and samples per second, or ``None`` where it is not installed."""
    for preset in ("FX", "FO", "FV"):
        yield f"golden network, {preset}", golden_rate(preset)
    yield "scikit-learn MLPClassifier.partial_fit", scikit_learn_rate()
    for options in ("", "fused=True"):
        measured = torch_rate(python, options)
        version, rate = measured or ("", None)
        yield " ".join(filter(None, ("PyTorch", version, f"Adam({options})"))), rate


@click.command()
@click.option("--torch", "python", default=sys.executable, help="Interpreter that has torch.")
@click.option("--document", type=click.Path(dir_okay=False, exists=True, path_type=Path), help="Page to update.")
def main(python: str, document: Path | None) -> None:
    """Measures training speed, one sample at a time."""
    rows = [(title, "not installed" if rate is None else f"{rate:,.0f}") for title, rate in rates(python)]
    table = markdown(("training, one sample at a time", "samples/s"), rows)
    click.echo(table)
    if document:
        put_tables(document, {"speed": table})


if __name__ == "__main__":
    sys.exit(main())
