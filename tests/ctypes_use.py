"""The library from another language: a large product and an error, through Python's ctypes.

Argument: the library's file."""
import ctypes
import sys
from ctypes import c_bool, c_char_p, c_double, c_int, c_int64, c_void_p


class Shape(ctypes.Structure):
    _fields_ = [("ndim", c_int), ("dim", c_int64 * 8)]


class Axes(ctypes.Structure):
    _fields_ = [("n", c_int), ("axis", c_int * 8)]


F32, N = 0, 512
library = ctypes.CDLL(sys.argv[1])


def function(name, result, *arguments):
    f = getattr(library, name)
    f.restype, f.argtypes = result, arguments
    return f


tape_new = function("tg_tape_new", c_void_p, c_void_p)
tape_free = function("tg_tape_free", None, c_void_p)
set_threads = function("tg_tape_set_threads", None, c_void_p, c_int)
message = function("tg_tape_message", c_char_p, c_void_p)
tg_input = function("tg_input", c_void_p, c_void_p, c_int, Shape, c_void_p)
matmul = function("tg_matmul", c_void_p, c_void_p, c_void_p, c_void_p)
tg_sum = function("tg_sum", c_void_p, c_void_p, c_void_p, Axes, c_bool)
item = function("tg_item", c_double, c_void_p, c_void_p)

t = tape_new(None)
set_threads(t, 2)
ones = (ctypes.c_float * (N * N))(*([1.0] * (N * N)))
x = tg_input(t, F32, Shape(2, (c_int64 * 8)(N, N)), ones)
everything = Axes(-1)
total = item(t, tg_sum(t, matmul(t, x, x), everything, False))
assert total == N**3, (total, message(t))

# An error is a message, here too.
assert matmul(t, x, None) is None and b"matmul" in message(t), message(t)
tape_free(t)
