"""The authors' trained mappings as stores of mappings, so that stages and figures of this project take them.

A store holds the runs of one layer and pair by rising decay, with ``weights``, ``decay``, ``alpha`` and ``above`` as
``stitching.fit`` stores them. What the logs say of losses is below ``published/``: these are not computed here.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import store
from ..commands import InputError, command, new_parser
from ..stitching.mappings import ABOVE
from ..tracked import file_digest
from .contents import SPLITS, read_run
from .runs import Named, mappings_of

LAST = 100  # iterations whose losses are averaged


def arrays_of(runs: Sequence[Named]) -> dict[str, np.ndarray]:
    """Arrays to store of the runs of one layer and pair.

    weights (P, T, S); decay, alpha (P,); above (P, T); published/<split>_last, _mean (P,): losses at the last
    iteration, and their means over the LAST of them. Raises InputError where shapes differ.
    """
    read = [read_run(run) for run in runs]
    for named, run in zip(runs, read, strict=True):
        if run.weights.shape != (first := read[0].weights.shape):
            raise InputError(f"{named.folder}: weights of shape {run.weights.shape}; {runs[0].folder} has {first}")
    weights, decay = np.stack([run.weights for run in read]), np.array([run.decay for run in runs])
    arrays = {"weights": weights, "decay": decay, "alpha": decay * weights.shape[1]}
    arrays["above"] = (np.abs(weights) > ABOVE).sum(axis=-1)
    for split in SPLITS:
        arrays[f"published/{split}_last"] = np.array([run.losses[split][-1] for run in read])
        arrays[f"published/{split}_mean"] = np.array([run.losses[split][-LAST:].mean() for run in read])
    return arrays


def attributes_of(runs: Sequence[Named], shape: Sequence[int]) -> Mapping[str, Any]:
    """Attributes of the store of some runs, whose weights are of a shape (T, S).

    Nets and images are known by name alone; the runs' files stand for them.
    """
    source, target = nets = runs[0].source, runs[0].target
    return {
        "kind": "mapping",
        "layer": runs[0].layer,
        "source": source,
        "target": target,
        "pair": runs[0].pair,
        "nets": {net: f"published {net}" for net in nets},
        "images": {split: f"published {split}" for split in SPLITS},
        "units": {target: shape[0], source: shape[1]},
        "files": {f"{run.folder.name}/{file.name}": file_digest(file) for run in runs for file in run.files},
    }


@command
def main(argv: list[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("clone", type=Path, help="clone of the authors' repository")
    parser.add_argument("output", type=Path, help="folder to write <layer>/<source>-<target>.zarr of all runs to")
    args = parser.parse_args(argv)
    for (layer, pair), runs in mappings_of(args.clone).items():
        arrays = arrays_of(runs)
        path = args.output / layer / f"{pair}.zarr" / "zarr.json"
        store.save(path, arrays, **attributes_of(runs, arrays["weights"].shape[1:]))
        print(f"{layer} {pair}: {len(runs)} mappings of the authors", flush=True)


if __name__ == "__main__":
    main()
