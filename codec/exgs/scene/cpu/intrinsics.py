"""Three machine operations that numba does not offer, as LLVM intrinsics.

Bit casts for sortable depths, an atomic counter that distributes work, and prefetching.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from exgs.scene.cpu.layout import RECORD
from exgs.scene.kernel import intrinsic

_I32 = ir.IntType(32)
_I64 = ir.IntType(64)


@intrinsic
def float_bits(typingctx: Any, value: Any) -> Any:
    """The bits of a float32 as int32, which keep the order of positive floats."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], _I32)

    return types.int32(types.float32), codegen


@intrinsic
def take_ticket(typingctx: Any, counter: Any) -> Any:
    """Atomically return the number in `counter` (int64 [1]) and increase it by one."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", data, ir.Constant(_I64, 1), "monotonic")

    return types.int64(counter), codegen


@intrinsic
def prefetch_record(typingctx: Any, records: Any, index: Any) -> Any:
    """Prefetch record `index` of `records` (float32 [M, RECORD]) into the cache."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        offset = builder.mul(args[1], ir.Constant(_I64, RECORD))
        address = builder.bitcast(builder.gep(data, [offset]), ir.IntType(8).as_pointer())
        signature_of_prefetch = ir.FunctionType(ir.VoidType(), [address.type, _I32, _I32, _I32])
        prefetch = builder.module.declare_intrinsic(
            "llvm.prefetch", [address.type], signature_of_prefetch
        )
        read, keep, data_cache = (ir.Constant(_I32, flag) for flag in (0, 3, 1))
        builder.call(prefetch, [address, read, keep, data_cache])
        return context.get_dummy_value()

    return types.void(records, types.int64), codegen
