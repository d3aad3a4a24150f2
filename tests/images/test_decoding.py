"""Bad pictures, errors of the system, and the difference; formats, and what is decoded of each."""

import contextlib
import errno
import io
import os
import random
import resource
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, ExifTags, Image
from torchvision.datasets.folder import IMG_EXTENSIONS, default_loader

from workflow.convergent.commands import InputError
from workflow.convergent.images import decoding
from workflow.convergent.images.decoding import DecodingError, decode
from workflow.convergent.images.listing import EXTENSIONS, OTHER_FORMATS

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 17, 3), np.uint8)
LOSSLESS = {"PNG": "png", "BMP": "bmp", "TIFF": "tif", "PPM": "ppm", "WEBP": "webp", "JPEG2000": "jp2"}
OPTIONS = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100}, "AVIF": {"quality": 100, "subsampling": "4:4:4"}}


def encoded(kind: str, pixels: np.ndarray = PIXELS) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **OPTIONS.get(kind, {}))
    return out.getvalue()


def written(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def header(width: int, height: int) -> bytes:
    """A PNG file that ends after its header."""
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", b"")
    )


@pytest.mark.parametrize("kind", LOSSLESS)
@pytest.mark.parametrize("extension", ["", ".jpg"])
def test_pixels_are_those_of_the_file_whatever_it_is_named(tmp_path: Path, kind: str, extension: str) -> None:
    file = written(tmp_path / f"a.{LOSSLESS[kind]}{extension}", encoded(kind))
    np.testing.assert_array_equal(np.asarray(decode(file)), PIXELS)


def test_avif_loses_little(tmp_path: Path) -> None:
    file = written(tmp_path / "a.avif", encoded("AVIF"))
    np.testing.assert_allclose(np.asarray(decode(file)).astype(int), PIXELS, atol=4)


def oriented(file: Path, orientation: int, kind: str, pixels: np.ndarray = PIXELS) -> Path:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(pixels).save(file, kind, exif=exif, **OPTIONS.get(kind, {}))
    return file


TURNS = {  # what each EXIF orientation asks for
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.transpose(1, 0, 2),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].transpose(1, 0, 2),
    8: lambda x: np.rot90(x),
}


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG", "AVIF"])
@pytest.mark.parametrize("orientation", TURNS)
def test_exif_turns_an_image_if_it_is_asked_to(tmp_path: Path, kind: str, orientation: int) -> None:
    """Without, pixels are those that torchvision's loader gives."""
    file = oriented(tmp_path / "a.jpg", orientation, kind)
    plain, turned = decode(file), decode(file, rotate=True)
    np.testing.assert_array_equal(np.asarray(plain), np.asarray(default_loader(str(file))))
    np.testing.assert_array_equal(np.asarray(turned), TURNS[orientation](np.asarray(plain)))
    assert (decoding.is_turned(plain), decoding.is_turned(turned)) == (orientation != 1, False)


def test_a_tiff_is_always_turned_as_torchvision_does(tmp_path: Path) -> None:
    file = oriented(tmp_path / "a.tif", 6, "TIFF")
    for rotate in (False, True):
        np.testing.assert_array_equal(np.asarray(decode(file, rotate)), TURNS[6](PIXELS))
        np.testing.assert_array_equal(np.asarray(decode(file, rotate)), np.asarray(default_loader(str(file))))
    assert not decoding.is_turned(decode(file))


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\0\x05"])
@pytest.mark.parametrize("rotate", [False, True])
def test_damaged_exif_takes_nothing_from_the_pixels(tmp_path: Path, exif: bytes, rotate: bool) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(np.asarray(decode(tmp_path / "a.png", rotate)), PIXELS)
    assert not decoding.is_turned(decode(tmp_path / "a.png"))


def test_every_extension_has_a_format_that_is_allowed() -> None:
    Image.init()
    assert {Image.EXTENSION[extension] for extension in EXTENSIONS} == set(decoding.FORMATS)
    assert set(IMG_EXTENSIONS) < EXTENSIONS
    assert not EXTENSIONS & OTHER_FORMATS


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_the_first_of_several_frames_is_taken(tmp_path: Path, kind: str) -> None:
    frames = [Image.fromarray(np.full((8, 8, 3), level, np.uint8)) for level in (40, 200)]
    frames[0].save(tmp_path / "a.gif", kind, save_all=True, append_images=frames[1:], **OPTIONS.get(kind, {}))
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames == 2
    assert (np.asarray(decode(tmp_path / "a.gif")) == 40).all()


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"


def test_a_postscript_file_named_as_an_image_starts_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow alone would start Ghostscript; a script stands in its place."""
    started = tmp_path / "started"
    script = written(tmp_path / "gs", f"#!/bin/sh\necho 10.0; touch {started}\n".encode())
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    file = written(tmp_path / "z.png", EPS)
    with pytest.raises(DecodingError, match="none of the formats AVIF, BMP, GIF, JPEG, JPEG2000, PNG, PPM"):
        decode(file)
    assert not started.exists()
    with contextlib.suppress(OSError), Image.open(file) as image:
        image.load()
    assert started.exists()


@pytest.mark.parametrize("kind", ["ICO", "PCX", "PDF", "TGA", "ICNS", "SGI"])
def test_other_formats_are_refused(tmp_path: Path, kind: str) -> None:
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / "a.png", kind)
    with pytest.raises(DecodingError, match="none of the formats"):
        decode(tmp_path / "a.png")


def test_the_limit_of_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path / "a.png", encoded("PNG"))
    monkeypatch.setattr(decoding, "MAX_PIXELS", 12 * 17)
    assert decode(file).size == (17, 12)
    monkeypatch.setattr(decoding, "MAX_PIXELS", 12 * 17 - 1)
    with pytest.raises(DecodingError, match="17x12 pixels, allowed are up to 203 in all"):
        decode(file)


@pytest.mark.parametrize("side", [8193, 10000, 13000, 40000, 2**31 - 1])
def test_a_large_image_is_refused_by_its_header(tmp_path: Path, side: int) -> None:
    with pytest.raises(DecodingError, match=f"{side}x{side} pixels, allowed are up to 67108864 in all"):
        decode(written(tmp_path / "a.png", header(side, side)))


def test_a_large_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    file = written(tmp_path / "a.png", b"")
    os.truncate(file, 2**40)  # without taking space
    with pytest.raises(DecodingError, match="1099511627776 bytes, allowed are up to 536870912"):
        decode(file)


def test_a_pipe_and_a_folder_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    (tmp_path / "b.png").mkdir()
    for name in ("a.png", "b.png"):
        with pytest.raises(DecodingError, match="no file"):
            decode(tmp_path / name)


@pytest.mark.parametrize("kind", decoding.FORMATS)
def test_any_damage_gives_an_image_or_a_reason(tmp_path: Path, kind: str) -> None:
    """Bytes changed, cut off or put in at random: 100 of each format."""
    rng, whole, refused = random.Random(kind), encoded(kind), 0
    for _ in range(100):
        content = bytearray(whole)
        at = rng.randrange(min(len(content), rng.choice([20, 100, len(content)])))
        damage = [content[at : at + rng.randint(0, 3)], content[at:], content[at:at]][rng.randrange(3)]
        content[at : at + len(damage)] = rng.randbytes(rng.randint(0, 6))
        file = written(tmp_path / "a.png", bytes(content))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, about what it reads
            try:
                assert decode(file).mode == "RGB"
            except DecodingError:
                refused += 1
    assert refused > 20


@contextlib.contextmanager
def no_files_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def another_user() -> Iterator[None]:
    user = os.geteuid()
    if not user:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ELOOP, errno.ENAMETOOLONG, errno.EIO, errno.EACCES, errno.EMFILE])
def test_an_error_of_the_system_is_no_bad_picture(tmp_path: Path, code: int) -> None:
    file = tmp_path / "a.png"
    around = {errno.EACCES: another_user, errno.EMFILE: no_files_left}.get(code, contextlib.nullcontext)
    if code == errno.ENAMETOOLONG:
        file = tmp_path / ("a" * 300 + ".png")
    elif code == errno.ELOOP:
        file.symlink_to(file)
    elif code == errno.EIO:
        file.symlink_to("/proc/self/mem")  # cannot be read from its beginning
    elif code != errno.ENOENT:
        written(file, encoded("PNG")).chmod(0)
    with pytest.raises(InputError) as stopped, around():
        decode(file)
    assert str(stopped.value) == f"{file}: the system cannot read it ({os.strerror(code)}); mend that, then run again"
