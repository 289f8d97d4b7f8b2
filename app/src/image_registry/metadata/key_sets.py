"""One parameter for any number of keys.

A list written out as one parameter for each key is another statement for each length: the driver takes it apart anew,
and the server plans it anew, which for five hundred keys takes as long as the answer.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import BigInteger, BindParameter, Boolean, Column, Dialect, String, bindparam
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine


class _Keys(TypeDecorator[Collection[Any]]):
    """An array where the database has arrays, else JSON."""

    impl = String
    cache_ok = True

    def __init__(self, of: type[BigInteger | String]) -> None:
        super().__init__()
        self.of = of

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        array = postgresql.ARRAY(self.of) if dialect.name == "postgresql" else String()
        return dialect.type_descriptor(array)

    def process_bind_param(self, value: Collection[Any] | None, dialect: Dialect) -> Any:
        keys = list(value or ())
        return keys if dialect.name == "postgresql" else json.dumps(keys)


class _Among(FunctionElement[bool]):
    type = Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> Any:  # noqa: ARG002 - the library's signature
        """As it is: ``= 1`` behind it, which SQLite is given for functions, would keep it from using an index."""
        return self


def among(column: Column[Any], name: str) -> _Among:
    """Whether the column is one of the keys that the parameter ``name`` is given, in whatever order."""
    of: type[BigInteger | String] = String if isinstance(column.type, String) else BigInteger
    keys: BindParameter[Collection[Any]] = bindparam(name, type_=_Keys(of))
    return _Among(column, keys)


@compiles(_Among)
def _array(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    column, keys = (compiler.process(part, **options) for part in element.clauses)
    return f"{column} = ANY ({keys})"


@compiles(_Among, "sqlite")
def _json(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    column, keys = (compiler.process(part, **options) for part in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({keys}))"  # noqa: S608 - what the compiler wrote
