"""Databento's DBN files, made byte by byte after the description of their encoding."""

import struct

import numpy as np
import pyarrow as pa

from mm_nautilus.data.readers import dbn_file

T0 = 1_723_161_255_000_000_000
MBO, MBP, TRADES = (dbn_file._FORMS[name][1] for name in ("mbo", "mbp-10", "trades"))
NUMBERS = {"mbo": 0, "mbp-1": 1, "mbp-10": 2, "trades": 4}
LAST = 0x80
NOTHING = 2**63 - 1


def padded(text, size):
    return text.encode().ljust(size, b"\0")


def metadata(schema, symbols, version=2):
    """The metadata as Databento's encoding lays it out, of versions 1 and 2."""
    width = 22 if version == 1 else 71
    counted = struct.pack("<Q", 0) if version == 1 else b""
    fixed = padded("GLBX.MDP3", 16) + struct.pack("<HQQQ", NUMBERS[schema], T0, T0 + 10**12, 0) + counted
    fixed += struct.pack("<BBB", 1, 0, 0) + (
        b"\0" * 47 if version == 1 else struct.pack("<H", width) + b"\0" * 53
    )
    text = fixed + struct.pack("<I", 0)
    text += struct.pack("<I", len(symbols)) + b"".join(padded(name, width) for name in symbols)
    text += struct.pack("<III", 0, 0, len(symbols))
    for name, number in symbols.items():
        interval = struct.pack("<II", 20240101, 20250101) + padded(str(number), width)
        text += padded(name, width) + struct.pack("<I", 1) + interval
    return b"DBN" + bytes([version]) + struct.pack("<I", len(text)) + text


def write(folder, schema, records, *, plain=False, version=2, symbols=None, cut=0):
    text = metadata(schema, symbols or {"BTCQ4": 42}, version) + records.tobytes()
    text = text[: len(text) - cut]
    path = folder / f"file.{schema}.dbn{'' if plain else '.zst'}"
    if plain:
        path.write_bytes(text)
    else:
        with pa.CompressedOutputStream(str(path), "zstd") as stream:
            stream.write(text)
    return path


def order(at, number, price, size, action, side, flags=LAST, instrument=42):
    times = (T0 + at, round(price * 10**9) if price else NOTHING)
    return (
        14,
        0xA0,
        1,
        instrument,
        times[0],
        number,
        times[1],
        size,
        flags,
        0,
        action,
        side,
        T0 + at + 900,
        0,
        at,
    )


def orders(*rows):
    return np.array(list(rows), MBO)


SMALL = (
    order(0, 0, None, 0, b"R", b"N", 0),
    order(0, 1, 100.00, 5, b"A", b"B", 0),
    order(0, 2, 100.02, 3, b"A", b"A"),
    order(10, 3, 100.00, 2, b"A", b"B"),
    order(20, 1, 100.00, 1, b"T", b"A", 0),
    order(20, 1, 100.00, 1, b"F", b"B", 0),
    order(20, 1, 100.00, 1, b"C", b"B"),
    order(30, 3, 99.99, 4, b"M", b"B"),
    order(40, 2, 100.02, 3, b"C", b"A", 0),
    order(40, 4, 100.03, 1, b"A", b"A"),
)
