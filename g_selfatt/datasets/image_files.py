"""Image files: found below folders, opened, decoded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from g_selfatt.datasets.errors import DataError, one_line

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
Files = list[tuple[str, int]]  # image file and label
_TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # EXIF's orientation to PIL's Transpose


def read_image(path: str, size: int, channels: int) -> np.ndarray:
    """Decode one image and bring it to ``(size, size, channels)`` uint8.

    The short side is resized to ``size``, the middle is kept.

    Args:
        path: an image file that Pillow reads.
        size: side in pixels.
        channels: 1 for grey, 3 for colour.

    Raises:
        ValueError, OSError: as `open_image`.
    """
    import numpy as np
    from PIL import ImageOps

    image = read_upright(path).convert("L" if channels == 1 else "RGB")
    return np.asarray(ImageOps.fit(image, (size, size))).reshape(size, size, channels)


def read_upright(path: str) -> Image.Image:
    """Decode one image as its camera held it, on white where it is transparent.

    Raises:
        ValueError, OSError: as `open_image`.
    """
    with open_image(path) as image:
        image.load()  # first: Pillow turns TIFFs itself when it loads them
        turn = _turn(image)
        return _opaque(image if turn is None else image.transpose(turn))


def _turn(image: Image.Image) -> Any:
    """How EXIF says that an image is to be turned, as PIL's Transpose; None for not at all.

    Not ImageOps.exif_transpose, which writes the EXIF again and fails where it is odd.
    """
    from PIL import ExifTags

    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # damaged EXIF raises anything, and the picture is good
        return None


def read_colour(path: str) -> Image.Image:
    """Decode one image in its own size, in colour.

    Raises:
        ValueError, OSError: as `open_image`.
    """
    with open_image(path) as image:
        return _opaque(image).convert("RGB")


def _opaque(image: Image.Image) -> Image.Image:
    """On white where it is transparent: ink drawn by alpha alone is black on black without it."""
    from PIL import Image

    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


def image_files(place: Path) -> list[str]:
    """The image files below a folder, by name, without those that are hidden.

    Links to folders are not followed: they can lead back to where they are.

    Raises:
        OSError: a folder that cannot be read.
    """

    def refuse(error: OSError) -> None:  # which os.walk would pass over
        raise error

    found = []
    for home, folders, files in os.walk(place, onerror=refuse):
        folders[:] = [name for name in folders if not is_hidden(name)]
        images = [name for name in files if name.lower().endswith(SUFFIXES)]
        found += [os.path.join(home, name) for name in images if not is_hidden(name)]
    return sorted(found)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is a tool's own, such as .ipynb_checkpoints, and not the user's."""
    return name.startswith(".") or name == "__MACOSX"


def open_image(path: str) -> Image.Image:
    """Open an image; only its head is read.

    Raises:
        ValueError: it is of more than 8 bits a channel, of several pages, or so large that it can
            only mean harm.
        OSError: a file that is missing or no image.
    """
    from PIL import Image

    try:
        image = Image.open(path)
    except Image.DecompressionBombError as error:
        raise ValueError(one_line(error)) from error
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"{image.mode} pixels, expected 8 bits a channel: convert it")
    if _is_deep(image):
        raise ValueError(f"16-bit {image.mode} pixels, expected 8 bits a channel: convert it")
    if image.format == "TIFF" and image.is_animated:
        raise ValueError("several pages, expected one image a file: save each as a file of its own")
    return image


def _is_deep(image: Image.Image) -> bool:
    """Whether a file has colours of more than 8 bits a channel, which Pillow cuts down to 8."""
    from PIL import ExifTags

    if image.format == "TIFF":
        return max(image.tag_v2.get(ExifTags.Base.BitsPerSample, (1,))) > 8
    return image.format == "PNG" and any("16" in raw_mode for *_, raw_mode in image.tile)


def list_images(home: Path, classes: tuple[str, ...]) -> Files:
    """The images of every class, in the order of their names.

    Args:
        home: folder of the class folders.
        classes: their names.

    Returns:
        Path and label of each.

    Raises:
        DataError: a class holds no image.
    """
    found: Files = []
    for label, name in enumerate(classes):
        files = image_files(home / name)
        if not files:
            raise DataError(
                f"{home / name} holds no image ({', '.join(SUFFIXES)}); expected some of each "
                f"class in {home / '<class>'}"
            )
        found += [(file, label) for file in files]
    return found
