"""Blocks as the Arrow streams that the engine makes of what a recording receives."""

import pyarrow as pa

from mm_nautilus.data.catalog_files import block_table
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rows import DeltaBlock, TradeBlock


def delta_stream(spec: InstrumentSpec, block: DeltaBlock) -> bytes:
    return _stream(block_table(spec, block))


def trade_stream(spec: InstrumentSpec, block: TradeBlock) -> bytes:
    return _stream(block_table(spec, block))


def _stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()
