"""Image files decoded to RGB pixels."""

import io
import stat
from pathlib import Path

from PIL import AvifImagePlugin, ExifTags, Image, ImageOps

from .listing import system_error

# What a file may hold, whatever its extension says: others start programs (EPS) or are no photographs.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
# Of one image: 8192 x 8192. Decoding takes up to 8 bytes a pixel, half a GB a process; of WebP 16, of JPEG 2000 20.
MAX_PIXELS = 2**26
Image.MAX_IMAGE_PIXELS = None  # Pillow would only warn up to twice its limit
AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # of one image: there is a process for each core


class DecodingError(Exception):
    """A picture that cannot be decoded; the text says why."""


def content(file: Path) -> bytes:
    """Bytes of a file. Raises InputError where the system cannot read it, DecodingError where no image is as large."""
    try:
        state = file.stat()
        if not stat.S_ISREG(state.st_mode):  # to open a pipe would wait for ever
            raise DecodingError("no file")
        if state.st_size > 8 * MAX_PIXELS:
            raise DecodingError(f"{state.st_size} bytes, allowed are up to {8 * MAX_PIXELS}")
        return file.read_bytes()
    except (OSError, MemoryError) as error:
        raise system_error(file, error) from None


def is_turned(image: Image.Image) -> bool:
    """Whether a picture's EXIF asks for it to be turned or mirrored. What cannot be understood asks for nothing."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)
    except Exception:  # of damaged EXIF, which takes nothing from the pixels
        return False


def decode(file: Path, rotate: bool = False) -> Image.Image:
    """Pixels of an image file as RGB with 8 bits a channel, of the first frame where it has several.

    They are as the file stores them; ``rotate`` turns them as EXIF says (``is_turned``). TIFF is always turned, by
    Pillow.
    Raises DecodingError where the file is damaged, of none of the formats, has more than MAX_PIXELS, or more than 8
    bits a channel: Pillow would clip such values (modes I and F) instead of scaling them. Raises InputError where the
    system cannot read the file. It is read as a whole first, so that all that fails later is due to the picture.
    """
    read = io.BytesIO(content(file))
    try:
        with Image.open(read, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DecodingError(f"{image.width}x{image.height} pixels, allowed are up to {MAX_PIXELS} in all")
            if image.mode.startswith(("I", "F")):
                raise DecodingError(f"mode {image.mode}, allowed are modes of 8 bits a channel")
            image.load()
            if rotate and is_turned(image):
                ImageOps.exif_transpose(image, in_place=True)
            return image.convert("RGB")
    except MemoryError as error:
        raise system_error(file, error) from None
    except Image.UnidentifiedImageError:
        raise DecodingError(f"none of the formats {', '.join(FORMATS)}, or damaged") from None
    except Exception as error:  # plugins raise what they will: OSError, SyntaxError, ValueError, struct.error ...
        raise DecodingError(str(error) or type(error).__name__) from error
