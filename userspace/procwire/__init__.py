"""procwire: which process scans, and which packets break the protocol standards."""

__version__ = "0.1.0"
