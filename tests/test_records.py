# SPDX-License-Identifier: Apache-2.0
"""The cheap frozen records behave like those of the standard library."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from esptool import records


def _point(decorator: Any) -> Any:
    @decorator(frozen=True, slots=True)
    class Point:
        """A place."""

        x: int
        y: int = 2
        tags: dict[str, int] = dataclasses.field(default_factory=dict)

        @property
        def total(self) -> int:
            return self.x + self.y

    return Point


STANDARD, CHEAP = _point(dataclasses.dataclass), _point(records.dataclass)


@records.dataclass(frozen=True, slots=True)
class Sized:
    width: int
    height: int = 1

    def __post_init__(self) -> None:
        if self.width < 0:
            raise ValueError("negative")


@pytest.mark.parametrize(
    "ask",
    [
        lambda c: repr(c(1)).split(".")[-1],
        lambda c: c(1) == c(1, 2, {}),
        lambda c: c(1) == c(2),
        lambda c: c(1) == 1,
        lambda c: c(y=5, x=1).total,
        lambda c: dataclasses.asdict(c(1, tags={"a": 1})),
        lambda c: dataclasses.astuple(c(1)),
        lambda c: dataclasses.replace(c(1), y=9).y,
        lambda c: [(f.name, f.type, f.init) for f in dataclasses.fields(c)],
        lambda c: dataclasses.is_dataclass(c),
        lambda c: c.__match_args__,
        lambda c: c.__slots__,
        lambda c: c.__doc__,
        lambda c: c.__name__,
        lambda c: copy.copy(c(1, 3)).y,
        lambda c: copy.deepcopy(c(1, 3)).y,
        lambda c: c(1).tags is c(1).tags,
    ],
)
def test_a_record_answers_as_the_standard_one_does(ask: Any) -> None:
    assert ask(CHEAP) == ask(STANDARD)


@pytest.mark.parametrize(
    "do",
    [
        lambda c: c(),
        lambda c: c(1, 2, {}, 4),
        lambda c: c(1, x=1),
        lambda c: c(1, z=1),
        lambda c: hash(c(1)),  # for the dictionary in it
        lambda c: setattr(c(1), "x", 2),
        lambda c: delattr(c(1), "x"),
    ],
)
def test_a_record_refuses_what_the_standard_one_refuses(do: Any) -> None:
    kinds = []
    for cls in (STANDARD, CHEAP):
        with pytest.raises((TypeError, AttributeError)) as error:
            do(cls)
        kinds.append(error.type)
    assert kinds[0] is kinds[1]


def test_records_can_be_hashed_pickled_matched_and_checked() -> None:
    assert {Sized(1): "a"}[Sized(1, 1)] == "a"
    assert pickle.loads(pickle.dumps(Sized(3, 4))) == Sized(3, 4)
    match Sized(3, 4):
        case Sized(width, 4):
            assert width == 3
        case _:
            pytest.fail("did not match")
    with pytest.raises(ValueError, match="negative"):
        Sized(-1)
