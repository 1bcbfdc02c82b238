import cv2
import numpy as np

from lipinc.cache.contact_sheet import SEAM, SEPARATOR, contact_sheet, mouth_strip
from tests.evaluation.test_plots import pixels

REAL_BGR = (0x73, 0x9E, 0x00)

FAKE_BGR = (0x00, 0x5E, 0xD5)


def clip(rng, count=8, height=64, width=144):
    frames = rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    return frames, frames[1:] - frames[:-1]


def test_strip_holds_every_frame_above_the_residue_of_its_pair():
    frames, residues = clip(np.random.default_rng(0))
    strip = mouth_strip(frames, residues, local_frames=5)
    assert strip.dtype == np.uint8
    assert strip.shape == (64 + SEPARATOR + 64, 8 * 144 + 6 * SEPARATOR + SEAM, 3)
    covered = np.zeros(strip.shape[:2], bool)
    for i in range(8):
        left = i * (144 + SEPARATOR) + (SEAM - SEPARATOR if i >= 5 else 0)
        np.testing.assert_array_equal(strip[:64, left : left + 144], frames[i])
        covered[:64, left : left + 144] = True
        if i > 0:
            np.testing.assert_array_equal(strip[64 + SEPARATOR :, left : left + 144], residues[i - 1])
            covered[64 + SEPARATOR :, left : left + 144] = True
    assert (strip[~covered] == 255).all()


def test_strip_of_local_frames_alone_has_no_seam():
    frames, residues = clip(np.random.default_rng(0), count=3, height=10, width=20)
    assert mouth_strip(frames, residues, local_frames=3).shape == (20 + SEPARATOR, 60 + 2 * SEPARATOR, 3)


def test_contact_sheet_shows_strips_pixel_for_pixel_under_coloured_captions(tmp_path):
    rng = np.random.default_rng(0)
    items = [("real  id00076/00109.mp4  window 0", *clip(rng)), ("fake  $a_1$.mp4  window 1", *clip(rng))]
    contact_sheet(items, tmp_path / "sheet.png", "title", local_frames=5, note="demo corpus")
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    tops = []
    for _, frames, residues in items:
        strip = mouth_strip(frames, residues, local_frames=5)
        match = cv2.matchTemplate(sheet, strip, cv2.TM_SQDIFF)
        _, _, (left, top), _ = cv2.minMaxLoc(match)
        np.testing.assert_array_equal(sheet[top : top + strip.shape[0], left : left + strip.shape[1]], strip)
        tops.append(top)
    assert tops[0] + 131 < tops[1]
    assert pixels(sheet[tops[0] - 20 : tops[0]], REAL_BGR) > 50
    assert pixels(sheet[tops[1] - 20 : tops[1]], FAKE_BGR) > 50
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


def test_contact_sheet_of_nothing_is_still_a_picture(tmp_path):
    contact_sheet([], tmp_path / "sheet.png", "no clips", local_frames=5)
    assert cv2.imread(str(tmp_path / "sheet.png")).shape[1] > 500
