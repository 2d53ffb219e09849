"""Films that the tests make: for the browser to play, and for its camera that is none to show."""

import io
import struct
from collections.abc import Sequence

import numpy as np
from PIL import Image


def greys(count: int, size: tuple[int, int] = (48, 64)) -> list[np.ndarray]:
    """Pictures (height, width, 3), each of them lighter than the one before."""
    return [np.full((*size, 3), 40 + 160 * k // max(count - 1, 1), np.uint8) for k in range(count)]


def y4m(frames: Sequence[np.ndarray], rate: int = 10) -> bytes:
    """Grey pictures as a raw film, which Chromium's fake camera shows again and again."""
    height, width = frames[0].shape[:2]
    head = f"YUV4MPEG2 W{width} H{height} F{rate}:1 Ip A1:1 C420jpeg\n".encode()
    colourless = bytes([128]) * (2 * (height // 2) * (width // 2))
    return head + b"".join(b"FRAME\n" + frame[..., 0].tobytes() + colourless for frame in frames)


def webm(frames: Sequence[np.ndarray], rate: int = 10, *, length: bool = True) -> bytes:
    """Pictures as a WebM film, whose frames are what a lossy WebP file holds.

    Args:
        frames: (height, width, 3) each.
        rate: in a second.
        length: whether it says how long it is and where its frames lie, as what a browser records does not.
    """
    height, width = frames[0].shape[:2]
    step = 1000 // rate
    head = _part(0x1A45DFA3, _part(0x4282, b"webm"), _number(0x4287, 2), _number(0x4285, 2))
    lasts = _part(0x4489, struct.pack(">d", step * len(frames))) if length else b""
    info = _part(0x1549A966, _number(0x2AD7B1, 1_000_000), lasts, _part(0x4D80, b"tests"), _part(0x5741, b"tests"))
    video = _part(0xE0, _number(0xB0, width), _number(0xBA, height))
    track = _part(0xAE, _number(0xD7, 1), _number(0x73C5, 1), _number(0x83, 1), _part(0x86, b"V_VP8"), video)
    clusters = [_cluster(step * k, frame) for k, frame in enumerate(frames)]
    before = info + _part(0x1654AE6B, track)
    if length:
        start = len(before) + len(_cues(clusters, step, 0))
        before += _cues(clusters, step, start)
    return head + _part(0x18538067, before, *clusters)


def _part(kind: int, *content: bytes) -> bytes:
    data = b"".join(content)
    return kind.to_bytes(4, "big").lstrip(b"\0") + ((1 << 56) | len(data)).to_bytes(8, "big") + data


def _number(kind: int, value: int) -> bytes:
    return _part(kind, value.to_bytes(8, "big"))


def _cluster(time: int, frame: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "WEBP", quality=90, method=0)
    riff = file.getvalue()
    assert riff[12:16] == b"VP8 "
    picture = riff[20 : 20 + int.from_bytes(riff[16:20], "little")]
    return _part(0x1F43B675, _number(0xE7, time), _part(0xA3, b"\x81\0\0\x80", picture))


def _cues(clusters: Sequence[bytes], step: int, start: int) -> bytes:
    places = np.cumsum([start, *map(len, clusters)])[:-1].tolist()
    points = [
        _part(0xBB, _number(0xB3, step * k), _part(0xB7, _number(0xF7, 1), _number(0xF1, place)))
        for k, place in enumerate(places)
    ]
    return _part(0x1C53BB6B, *points)
