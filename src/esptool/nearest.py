# SPDX-License-Identifier: Apache-2.0
"""A mistyped keyword of a documented function: refused before anything is done, and corrected."""

from __future__ import annotations

from functools import wraps

from esptool.errors import UnknownKeywordError

TYPE_CHECKING = False  # as in `typing`, whose import would be a good part of the start-up time
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    T = TypeVar("T")


def checks_keywords(options: type | None = None) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Let a function refuse keywords that it does not have, with the nearest that it has.

    Python itself names only what is wrong, up to version 3.12, and a function that takes
    `**kwargs` would pass over it.

    Args:
        options: the `TypedDict` of the function's `**kwargs`, where it has any.

    Raises:
        UnknownKeywordError: (by the function) there is no such keyword.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        known = frozenset((*keywords_of(function), *getattr(options, "__annotations__", ())))

        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> T:
            if not known.issuperset(kwargs):
                refuse_unknown(function, kwargs, known)
            return function(*args, **kwargs)

        return checked

    return decorate


def keywords_of(function: Callable[..., object]) -> frozenset[str]:
    """The names of the parameters that can be given by keyword; a method's object is none."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code = function.__code__
    end = code.co_argcount + code.co_kwonlyargcount
    return frozenset(code.co_varnames[code.co_posonlyargcount : end]) - {"self"}


def refuse_unknown(
    function: Callable[..., object], given: Collection[str], known: Collection[str]
) -> None:
    """Refuse the first of the given keywords that is not known.

    Raises:
        UnknownKeywordError: there is one.
    """
    for name in given:
        if name not in known:
            where = function.__qualname__
            raise UnknownKeywordError(f"{where}() has no option '{name}'.{hint(name, known)}")


def hint(name: str, known: Collection[str]) -> str:
    """What was probably meant, as a sentence; else what there is."""
    from difflib import get_close_matches

    near = get_close_matches(name, sorted(known), n=1)
    if near:
        return f" Did you mean '{near[0]}'?"
    return f" It has: {', '.join(sorted(known))}." if known else " It has none."
