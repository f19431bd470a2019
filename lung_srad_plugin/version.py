"""The version of the package, kept in this one place and read by ``setup.py``."""

__version__ = "0.1.0"
