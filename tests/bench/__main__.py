"""Measured speed and memory. ``make bench`` runs all benchmarks, ``python -m tests.bench moments`` runs one.

Times are compared as ratios within one run, and the runs that are compared alternate, because machines are noisy.
"""

from workflow.convergent.allocation import keep_freed_memory
from workflow.convergent.commands import new_parser
from workflow.convergent.nets import device

from .atlas import bench_atlas
from .checking import bench_checking
from .clustering import bench_clustering
from .cuda import bench_cuda
from .evidence import bench_evidence
from .imagenet import bench_imagenet
from .images import bench_images
from .information import bench_information
from .moments import bench_exactness, bench_memory, bench_moments, bench_rounding
from .nets import bench_lrn, bench_patches, bench_training
from .peers.table import bench_peers
from .scale import bench_scale
from .stitching import bench_stitching

BENCHES = {
    "images": bench_images,
    "checking": bench_checking,
    "moments": bench_moments,
    "memory": bench_memory,
    "scale": bench_scale,
    "evidence": bench_evidence,
    "information": bench_information,
    "stitching": bench_stitching,
    "clustering": bench_clustering,
    "training": bench_training,
    "lrn": bench_lrn,
    "patches": bench_patches,
    "atlas": bench_atlas,
    "exactness": bench_exactness,
    "rounding": bench_rounding,
    "cuda": bench_cuda,
    "imagenet": bench_imagenet,
    "peers": bench_peers,
}


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument("bench", choices=BENCHES, nargs="?", help="benchmark to run; without one, all run")
    args = parser.parse_args()
    for name in [args.bench] if args.bench else BENCHES:
        device.deterministic(2)
        keep_freed_memory()
        BENCHES[name]()


if __name__ == "__main__":
    main()
