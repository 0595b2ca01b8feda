"""Builds what Python alone cannot: the cffi modules and the eBPF object."""

from setuptools import setup

setup(
    cffi_modules=["bindings/build_event.py:ffi"],
)
