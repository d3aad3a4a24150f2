"""The image store at ImageNet's scale: the rate of building it, and the bytes and rates of other encodings."""

import contextlib
import io
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import zarr
import zarr.codecs
from numcodecs import Blosc, blosc
from PIL import Image, ImageChops

from workflow.convergent import store
from workflow.convergent.images import parts
from workflow.convergent.images.decoding import decode
from workflow.convergent.images.listing import image_files
from workflow.convergent.images.workers import ParallelMap, parallel_map

from .common import ROOT

COUNT, WIDTH, HEIGHT = 4000, 500, 375  # JPEGs like those of ImageNet, 110 kB on average
IMAGENET = 1_281_167 + 50_000
SIZE, CROP, BATCH = 256, 227, 256
SAMPLE = 1024  # images in each of the other encodings


def make_photographs(folder: Path, count: int = COUNT) -> list[str]:
    """Names of JPEGs: random parts of the embedded photographs, with grain that gives files of typical size."""
    rng = np.random.default_rng(0)
    scenes = [decode(file) for file in image_files(ROOT / "workflow/resources/scenes")]
    grain = Image.fromarray(rng.normal(128, 8, (1024, 1024, 3)).round().astype(np.uint8))
    names = [f"{number}.jpg" for number in range(count)]
    for number, name in enumerate(names):
        scene = scenes[number % len(scenes)]
        part = rng.uniform(0.75, 1) * np.array(scene.size)
        corner = rng.random(2) * (scene.size - part)
        photo = scene.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC, (*corner, *(corner + part)))
        x, y = rng.integers(0, (1024 - WIDTH, 1024 - HEIGHT)).tolist()
        grained = ImageChops.add(photo, grain.crop((x, y, x + WIDTH, y + HEIGHT)), offset=-128)
        grained.save(folder / name, quality=95)
    return names


def only_decode(part: parts.Part) -> int:
    """Number of images of a part, after they were decoded and resized and thrown away: the least work."""
    for name in part.names:
        np.asarray(decode(part.folder / name).resize((SIZE, SIZE), Image.Resampling.BILINEAR))
    return len(part.names)


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and seconds of a core, that some work takes."""
    begun = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begun[0], time.process_time() - begun[1]


def timed(part: parts.Part) -> tuple[tuple[float, float], tuple[float, float]]:
    """Times of the least work on a part and of building it, one right after the other: machines are noisy."""
    parts.record_file(part.path, part.number).unlink(missing_ok=True)
    return seconds(lambda: only_decode(part)), seconds(lambda: parts.build_part(part))


def built(plan: parts.Plan, each: ParallelMap) -> None:
    """Build the whole store."""
    labels = np.zeros(COUNT, np.int32)
    with contextlib.redirect_stdout(None):
        parts.finish(plan, parts.build_parts(plan, each, "stop"), {"labels": labels, "group": labels})
    parts.remove_records(plan)


def bench_building(plan: parts.Plan, workers: int = 2, repeats: int = 3) -> None:
    """Building a part against only decoding and resizing its images, and a whole build."""
    with parallel_map(workers) as each:
        parts.open_store(plan)
        list(each(timed, plan.parts[:workers]))  # start them
        pairs = np.array([pair for _ in range(repeats) for pair in each(timed, plan.parts)])
        shutil.rmtree(plan.path.parent)
        whole = COUNT / seconds(lambda: built(plan, each))[0]
    bare, made = COUNT * repeats / pairs[:, :, 1].sum(0)
    by_clock, by_core = np.median(pairs[:, 0] / pairs[:, 1], 0)
    print(f"building: {bare:.0f} JPEGs/s and core decoded and resized, {made:.0f} stored: {by_core:.0%} ", end="")
    print(f"of the bare rate (goal 90 %), {by_clock:.0%} by the clock beside other load; ", end="")
    print(f"a whole store by {workers} processes {whole:.0f} images/s")


def cropped(images: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """A random crop of each image (N, CROP, CROP, 3)."""
    crops = np.empty((len(images), CROP, CROP, 3), np.uint8)
    for k, (y, x) in enumerate(rng.integers(0, SIZE - CROP + 1, (len(images), 2)).tolist()):
        crops[k] = images[k][y : y + CROP, x : x + CROP]
    return crops


def written(image: np.ndarray, **how: object) -> bytes:
    """Bytes of an image as a file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, **how)
    return file.getvalue()


def read(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)))


class Encoded:
    """Encoded images, decoded one after the other."""

    def __init__(self, images: store.StoredArray, encode: Callable[[np.ndarray], bytes], decode: Callable) -> None:
        self.encoded = [encode(image) for image in images[range(SAMPLE)]]
        self.decode = decode

    def __len__(self) -> int:
        return SAMPLE

    def __getitem__(self, index: np.ndarray) -> list[np.ndarray]:
        return [self.decode(self.encoded[row]) for row in index]

    def bytes(self) -> float:
        return statistics.mean(map(len, self.encoded))


class Views(store.StoredArray):
    """Views of raw images, of which a crop copies only its own pixels."""

    def __getitem__(self, index: np.ndarray) -> list[np.ndarray]:
        return [self.chunks[row // self.chunk_rows][row % self.chunk_rows] for row in index.tolist()]


class ThroughZarr:
    """Images read through Zarr's own array."""

    def __init__(self, array: zarr.Array) -> None:
        self.array = array

    def __len__(self) -> int:
        return self.array.shape[0]

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        return self.array.oindex[index]

    def bytes(self) -> float:
        return self.array.nbytes_stored() / len(self)


def bench_encodings(path: Path, repeats: int = 3) -> None:
    """Bytes of an image and shuffled crops a second on one core, of each encoding, from memory or the page cache."""
    blosc.set_nthreads(1)
    zstd = Blosc("zstd", 1, Blosc.NOSHUFFLE)
    images = store.StoredArray(path, "images")
    raw = float(np.prod(images.shape[1:]))
    compressed = zarr.create_array(
        path.parent.parent / "zstd.zarr",
        shape=(SAMPLE, *images.shape[1:]),
        dtype=np.uint8,
        chunks=(1, *images.shape[1:]),
        compressors=zarr.codecs.BloscCodec(cname="zstd", clevel=1, shuffle="noshuffle"),
    )
    compressed[:] = images[range(SAMPLE)]
    lossless = Encoded(images, zstd.encode, lambda f: np.frombuffer(zstd.decode(f), np.uint8).reshape(SIZE, SIZE, 3))
    png = Encoded(images, lambda image: written(image, format="png", compress_level=6), read)
    jpegs = {q: Encoded(images, lambda image, q=q: written(image, format="jpeg", quality=q), read) for q in (95, 90)}
    ways = {  # images, bytes of one, batches
        "raw: memory maps, whole images then cropped": (images, raw, 10),
        "raw: memory maps, crops alone": (Views(path, "images"), raw, 10),
        "raw: Zarr's array": (ThroughZarr(zarr.open_array(path.parent / "images", mode="r")), raw, 1),
        "zstd: Zarr's array, an image a chunk": (ThroughZarr(compressed), ThroughZarr(compressed).bytes(), 1),
        "zstd: an image a frame": (lossless, lossless.bytes(), 4),
        "PNG": (png, png.bytes(), 1),
        **{f"JPEG of quality {q}": (rows, rows.bytes(), 2) for q, rows in jpegs.items()},
    }
    rng = np.random.default_rng(0)
    images[range(COUNT)]  # into the page cache
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, (rows, _, batches) in ways.items():
            order = rng.permutation(len(rows))[: batches * BATCH].reshape(batches, BATCH)

            begun = time.process_time()
            for index in order:
                cropped(rows[index], rng)
            rates[name].append(order.size / (time.process_time() - begun))
    print(f"{'encoding':46} {'bytes an image':>14} {'ImageNet in GB':>14} {'crops/s and core (goal 3,000)':>30}")
    for name, (_, size, _) in ways.items():
        print(f"{name:46} {size:14,.0f} {size * IMAGENET / 1e9:14.0f} {statistics.median(rates[name]):30,.0f}")


def bench_images() -> None:
    """Write JPEGs of typical size to the store, and read them in shuffled batches."""
    with tempfile.TemporaryDirectory() as folder:
        names = make_photographs(Path(folder))
        size = statistics.mean((Path(folder) / name).stat().st_size for name in names)
        print(f"images: {COUNT} JPEGs of {WIDTH}x{HEIGHT}, {size / 1000:.0f} kB on average")
        plan = parts.plan_parts(Path(folder) / "store" / "train.zarr" / "zarr.json", Path(folder), names, SIZE)
        bench_building(plan)
        bench_encodings(plan.path)
