"""Kernels for CuPy arrays: the room is ready, the kernels come with the GPU work.

Until then `dspsep.kernels.kernels_for` hands CuPy arrays to `dspsep.kernels.generic`, whose array-API
expressions run on the device.
"""
