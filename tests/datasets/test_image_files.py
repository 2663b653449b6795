"""An image file becomes the pixels that its maker saw; what would become others is refused."""

import struct
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin

from g_selfatt.datasets.image_files import read_image


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(tmp_path, mode):
    ink = Image.new("LA", (8, 8), (0, 0))  # black everywhere, to be seen in the upper half only
    ink.paste((0, 255), (0, 0, 8, 4))
    ink.convert("RGBA" if mode == "RGBA" else "LA").save(tmp_path / "ink.png")
    if mode == "P":
        palette = Image.new("P", (8, 8), 1)
        palette.putpalette([0, 0, 0, 255, 0, 0])
        palette.paste(0, (0, 0, 8, 4))
        palette.save(tmp_path / "ink.png", transparency=1)
    pixels = read_image(str(tmp_path / "ink.png"), 8, 1)
    assert (pixels[:4] == 0).all() and (pixels[4:] == 255).all()


def test_the_short_side_is_resized_and_the_middle_kept(tmp_path):
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 200  # the middle square
    Image.fromarray(wide).save(tmp_path / "wide.png")
    image = read_image(str(tmp_path / "wide.png"), 16, 3)
    assert image.shape == (16, 16, 3) and image.min() > 190


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_stand_as_their_camera_says(orientation, suffix, tmp_path, rng):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    photo = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    photo.save(tmp_path / f"photo.{suffix}", exif=exif)
    photo.save(tmp_path / "photo.png", exif=exif)
    with Image.open(tmp_path / "photo.png") as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    pixels = read_image(str(tmp_path / f"photo.{suffix}"), 6, 3)
    np.testing.assert_array_equal(pixels, upright)


def test_a_photo_whose_exif_is_cut_off(tmp_path):
    Image.new("L", (6, 6), 9).save(tmp_path / "photo.png", exif=b"Exif\0\0II*\0")
    assert (read_image(str(tmp_path / "photo.png"), 6, 1) == 9).all()


def test_a_photo_with_odd_exif(tmp_path):
    size = (0x0100, 2, 4, b"wide")  # the width, as text
    turned = (0x0112, 3, 1, struct.pack("<HH", 6, 0))
    entries = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in (size, turned))
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + struct.pack("<I", 0)
    photo = Image.new("RGB", (6, 6))
    photo.paste((255, 0, 0), (0, 0, 6, 3))
    photo.save(tmp_path / "photo.png", exif=exif)
    pixels = read_image(str(tmp_path / "photo.png"), 6, 3)
    assert (pixels[:, 3:, 0] == 255).all() and (pixels[:, :3] == 0).all()  # the top is right now


def write_deep_png(path, colour):
    """2×2 pixels of 16 bits a channel; of colour type 2 RGB, 4 grey and alpha, 6 RGBA."""
    row = bytes(1 + 2 * 2 * {2: 3, 4: 2, 6: 4}[colour])  # the filter, and the pixels
    head = struct.pack(">IIBBBBB", 2, 2, 16, colour, 0, 0, 0)
    file = b"\x89PNG\r\n\x1a\n"
    for kind, content in ((b"IHDR", head), (b"IDAT", zlib.compress(2 * row)), (b"IEND", b"")):
        check = zlib.crc32(kind + content)
        file += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
    path.write_bytes(file)


def write_deep_tiff(path):
    """2×2 pixels of three channels of 16 bits."""
    pixels = bytes(2 * 2 * 3 * 2)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in (
        *((256, 2), (257, 2), (258, (16, 16, 16)), (259, 1), (262, 2)),  # size, bits, raw, RGB
        *((273, 0), (277, 3), (278, 2), (279, len(pixels))),  # one strip of pixels, after the tags
    ):
        tags[tag] = value
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + tags.tobytes(8) + pixels)


@pytest.mark.parametrize("colour", [2, 4, 6, "tif"])
def test_colours_of_sixteen_bits_are_refused(tmp_path, colour):
    file = tmp_path / "deep"
    write_deep_tiff(file) if colour == "tif" else write_deep_png(file, colour)
    with pytest.raises(ValueError, match="^16-bit RGBA? pixels, expected 8 bits a channel: conv"):
        read_image(str(file), 8, 3)


def test_a_tiff_of_several_pages_is_refused_and_a_photo_with_a_preview_is_not(tmp_path):
    first, second = Image.new("RGB", (8, 8), (250, 0, 0)), Image.new("RGB", (8, 8))
    for name, kind in (("stack.tif", "TIFF"), ("photo.jpg", "MPO")):
        first.save(tmp_path / name, format=kind, save_all=True, append_images=[second])
    with pytest.raises(ValueError, match="several pages, expected one image a file"):
        read_image(str(tmp_path / "stack.tif"), 8, 3)
    assert (read_image(str(tmp_path / "photo.jpg"), 8, 3)[..., 0] > 245).all()
