"""Image files to RGB pixels."""

from pathlib import Path

from PIL import Image

from ..commands import InputError

EXTENSIONS = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm"}


class DecodingError(Exception):
    """An image file that cannot be decoded; the text says why."""


def image_files(folder: Path) -> list[Path]:
    """Image files below a folder, by name."""
    return sorted(f for f in folder.rglob("*") if f.suffix.lower() in EXTENSIONS and f.is_file())


def decode(file: Path) -> Image.Image:
    """An image file as RGB.

    Pillow would clip what has more than 8 bits a channel (modes I and F) instead of scaling it: unreadable too.
    """
    try:
        with Image.open(file) as image:
            if image.mode.startswith(("I", "F")):
                raise ValueError(f"mode {image.mode}, allowed are those of 8 bits a channel")
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DecodingError(str(error)) from error


def refusal(file: Path, reason: object) -> InputError:
    """What a run ends with at an unreadable file."""
    return InputError(f"{file}: unreadable image ({reason}); mend or remove it, or set data.on_error to skip")
