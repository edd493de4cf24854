"""Packed: values that hold arrays, as bytes and back; MessagePack, an array as its type, its shape and its bytes.

The same value gives the same bytes, if its parts are in the same order. Whoever reads says what is expected; anything
else is a broken promise.
Knows nothing of what is packed.
"""

from typing import Any, TypeVar, get_args, get_origin

import msgspec
import numpy as np

from streams.heart.errors import BrokenPromise

T = TypeVar("T")


def pack(value: Any) -> bytes:
    """A value as bytes: what msgspec takes, numpy arrays and numbers.

    >>> unpack(pack((np.arange(3), "a")), tuple[np.ndarray[Any, np.dtype[np.int64]], str])
    (array([0, 1, 2]), 'a')
    """
    return msgspec.msgpack.encode(value, enc_hook=_plain)


def unpack(data: bytes, kind: type[T]) -> T:
    """The value that `pack` was given. Raises `BrokenPromise` for bytes of another kind."""
    try:
        return msgspec.msgpack.decode(data, type=kind, dec_hook=_array)
    except (msgspec.DecodeError, ValueError, TypeError) as error:
        raise BrokenPromise(f"packed bytes that are not what was expected: {error}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"{type(value).__name__} cannot be packed")


def _array(kind: Any, said: Any) -> Any:
    """An array of the kind that is expected, such as `NDArray[np.int64]`."""
    dtype, shape, held = said
    expected = get_args(get_args(kind)[1])[0]
    expected = get_origin(expected) or expected  # `signedinteger[Any]` is `signedinteger`
    if not np.issubdtype(np.dtype(dtype), expected):
        raise ValueError(f"an array of {dtype}, expected {expected.__name__}")
    return np.frombuffer(held, dtype).reshape(shape).copy()
