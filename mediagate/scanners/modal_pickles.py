"""Keeps Modal's client from running code that an answer brings along.

An engine decodes hostile files; were one to take it over, its pickled answer could take over whoever reads
it. Modal has no setting against that, so its unpickler is replaced by one that makes only plain values and
Python's own exceptions.
"""

import builtins
import pickle
from typing import NoReturn

from modal import _serialization
from modal.config import config


def refuse_pickled_code() -> None:
    """For this process's Modal client from now on; answers are asked for as CBOR, which cannot hold code."""
    config.override_locally("payload_format", "cbor")
    _serialization.Unpickler = PlainUnpickler  # type: ignore[misc]


class PlainUnpickler(_serialization.Unpickler):
    """Raises UnpicklingError for everything but plain values and Python's own exceptions."""

    def find_class(self, module_name: str, global_name: str, /) -> type[Exception]:
        """The exception of that name."""
        found = getattr(builtins, global_name, None) if module_name == "builtins" else None
        if isinstance(found, type) and issubclass(found, Exception):
            return found
        raise pickle.UnpicklingError(f"{module_name}.{global_name} is refused")

    def persistent_load(self, pid: object) -> NoReturn:
        """Modal's own objects are no answers either."""
        raise pickle.UnpicklingError("an object of Modal's is refused")
