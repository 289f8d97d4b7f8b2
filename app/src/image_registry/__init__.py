"""The image registry of the Alauda Container Platform, version 2.

Packages are rooms with one direction: imports go downwards only (see ``docs/explanation/architecture.md``;
the order is enforced by import-linter in the test run).
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("alauda-image-registry")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
