"""Converts decoded pictures of any pixel format to 8-bit BGR, HDR pictures by tone mapping."""

import tempfile
from pathlib import Path

import av
import numpy as np
from av.filter import Graph
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

PQ, HLG = 16, 18
"""Transfer characteristics (Rec. ITU-T H.273, table 3)."""
RGB, BT601, BT2020 = 0, 6, 9
"""Colour primaries and matrix (Rec. ITU-T H.273, tables 2 and 4)."""
TRANSFERS = {
    **{1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear", 13: "iec61966-2-1"},
    **{14: "bt2020-10", 15: "bt2020-12", PQ: "smpte2084", HLG: "arib-std-b67"},
}
"""FFmpeg's names of the transfer characteristics."""
SDR_WHITE, HDR_WHITE = 100.0, 203.0
"""Luminance of diffuse white in cd/m^2: that of SDR studios, and that of HDR (Rec. ITU-R BT.2408)."""
SDR_PEAK = (50.0, 120.0)
"""A picture whose brightest spot is within these, in cd/m^2, is taken for SDR footage in an HDR signal: ffmpeg's usual
conversion puts the white of SDR at 100. A darker picture says nothing (a fade-in), a brighter one is HDR."""
KNEE = 0.8
"""Linear light, relative to white, above which highlights are compressed."""
LUT_SIZE = 33
"""Points per axis of the 3D table; in between, it is interpolated in tetrahedra: a mean error of 0.6 levels."""
BT2020_TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
"""Linear RGB, Rec. ITU-R BT.2087."""
BT2020_LUMA = np.array([0.2627, 0.6780, 0.0593])
ONE_THREAD = {"threads": 1} if int(av.__version__.split(".")[0]) >= 17 else {}
"""Before PyAV 17, swscale never uses more."""


class BgrConverter:
    """Converts the frames of one video, in order. All are tone-mapped alike, whatever their brightness.

    SDR is converted as OpenCV does it (swscale, bicubic, BT.601 whatever the file says), which the shipped checkpoints
    were trained on: the bytes are equal. HDR is mapped to BT.709 by the white that its first frame suggests.
    """

    def __init__(self, context: VideoCodecContext) -> None:
        """
        Args:
            context: the decoder of the frames.
        """
        self.note = ""
        """What was converted, in words; empty for SDR."""
        self._context = context
        self._reformatter = VideoReformatter()
        self._white = 0.0
        self._graph: Graph | None = None
        self._layout: tuple = ()

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        """Return the picture of a frame: (H, W, 3) uint8 BGR."""
        if self._context.color_trc in (PQ, HLG) or self._context.color_primaries == BT2020:
            return self._tone_map(frame)
        matrix, method = Colorspace.ITU601, Interpolation.BICUBIC
        return self._reformatter.reformat(frame, None, None, "bgr24", matrix, matrix, method, **ONE_THREAD).to_ndarray()

    def _tone_map(self, frame: av.VideoFrame) -> np.ndarray:
        transfer = self._context.color_trc
        if not self._white:
            self._white = _white(frame, transfer)
            name = {PQ: "HDR (PQ)", HLG: "HDR (HLG)"}.get(transfer, "BT.2020")
            self.note = f"{name} was converted to BT.709, with white at {self._white:g} cd/m2"
        layout = (frame.width, frame.height, frame.format.name, frame.color_range, transfer)
        if self._graph is None or layout != self._layout:
            self._graph, self._layout = _tone_mapping_graph(frame, transfer, self._white), layout
        self._graph.push(frame)
        return self._graph.pull().to_ndarray()


def to_linear(code: np.ndarray, transfer: int) -> np.ndarray:
    """Decode R'G'B' to the light of a display.

    Args:
        code: (..., 3), 0..1.
        transfer: PQ, HLG (on a display of 1000 cd/m^2, Rec. ITU-R BT.2100), or any other: BT.1886 with white at 100.

    Returns:
        (..., 3) in cd/m^2.
    """
    if transfer == PQ:
        power = code ** (32 / 2523)
        return 10000 * (np.maximum(power - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * power)) ** (16384 / 2610)
    if transfer == HLG:
        scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12)
        return 1000 * scene * (scene @ BT2020_LUMA)[..., None] ** 0.2
    return 100 * code**2.4


def to_bt709(light: np.ndarray, white: float) -> np.ndarray:
    """Map linear BT.2020 RGB (..., 3) in cd/m^2 to BT.709 R'G'B' for a BT.1886 display, 0..1."""
    light = np.maximum(light / white @ BT2020_TO_BT709.T, 0)
    excess = np.maximum(light - KNEE, 0)
    compressed = KNEE + excess / (1 + excess / (1 - KNEE))  # smooth at the knee, never above 1
    return np.where(light < KNEE, light, compressed) ** (1 / 2.4)


def _white(frame: av.VideoFrame, transfer: int) -> float:
    """The white of a video, by its first frame."""
    if transfer not in (PQ, HLG):
        return SDR_WHITE
    small = frame.reformat(*(160, 90, "rgb48le", BT2020, BT2020, Interpolation.AREA), dst_color_range=ColorRange.JPEG)
    brightest = to_linear(small.to_ndarray() / 65535, transfer).max()
    return SDR_WHITE if SDR_PEAK[0] < brightest < SDR_PEAK[1] else HDR_WHITE


def _tone_mapping_graph(frame: av.VideoFrame, transfer: int, white: float) -> Graph:
    """A filter graph that looks the colours of pictures like `frame` up in a 3D table."""
    axis = np.linspace(0, 1, LUT_SIZE)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    table = to_bt709(to_linear(np.stack([red, green, blue], axis=-1), transfer), white)
    full = frame.color_range == ColorRange.JPEG
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "table.cube")
        np.savetxt(file, table.reshape(-1, 3), fmt="%.6f", header=f"LUT_3D_SIZE {LUT_SIZE}", comments="")
        graph = Graph()
        graph.link_nodes(
            graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or av.time_base
            ),
            graph.add(
                "scale", in_color_matrix="bt2020", in_range="full" if full else "limited", out_range="full", threads="1"
            ),
            graph.add("format", "gbrpf32le"),
            graph.add("lut3d", file=str(file), interp="tetrahedral", threads="1"),
            graph.add("scale", sws_dither="none", threads="1"),
            graph.add("format", "bgr24"),
            graph.add("buffersink"),
        ).configure()
    return graph
