"""Image files decoded to RGB pixels."""

from pathlib import Path

from PIL import Image

from ..commands import InputError

EXTENSIONS = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm"}


class DecodingError(Exception):
    """An image file that cannot be decoded; the text says why."""


def image_files(folder: Path) -> list[Path]:
    """Image files anywhere below a folder, sorted by path."""
    return sorted(f for f in folder.rglob("*") if f.suffix.lower() in EXTENSIONS and f.is_file())


def decode(file: Path) -> Image.Image:
    """Pixels of an image file as RGB with 8 bits a channel.

    Raises DecodingError where the file is damaged, too large for Pillow, or has more than 8 bits a channel: Pillow
    would clip such values (modes I and F) instead of scaling them.
    """
    try:
        with Image.open(file) as image:
            if image.mode.startswith(("I", "F")):
                raise ValueError(f"mode {image.mode}, allowed are modes of 8 bits a channel")
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DecodingError(str(error)) from error


def refusal(file: Path, reason: object) -> InputError:
    """The error that ends a run at an unreadable file."""
    return InputError(f"{file}: unreadable image ({reason}); repair or remove it, or set data.on_error to skip")
