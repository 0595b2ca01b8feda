"""Builds what Python alone cannot: the cffi modules and the eBPF object. Metadata is in pyproject.toml."""

from setuptools import setup

setup(
    cffi_modules=["bindings/build_event.py:ffi", "bindings/build_libbpf.py:ffi"],
)
