# SPDX-License-Identifier: Apache-2.0
"""`dataclass(frozen=True, slots=True)` at a tenth of its price when a module is imported.

The standard decorator compiles six methods for every class; with dozens of small value types that
is most of a short command's start-up. The classes made here have the same interface (also for
`dataclasses.replace`, `fields` and `asdict`), but share general methods. Creating an instance is
a little slower, so types that are created by the thousand are better served by the standard one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import replace as replace
else:
    import dataclasses
    from dataclasses import MISSING, Field, FrozenInstanceError, field, replace  # noqa: F401

    def dataclass(*, frozen, slots):
        """Only the frozen, slotted kind is made here."""
        assert frozen
        assert slots
        return _record

    def _record(cls):
        fields = dict(getattr(cls, "__dataclass_fields__", {}))
        own = list(cls.__annotations__)
        body = dict(cls.__dict__)
        for name in own:
            made = body.pop(name, MISSING)
            if not isinstance(made, Field):
                made = field(default=made) if made is not MISSING else field()
            made.name = name
            made.type = cls.__annotations__[name]
            made._field_type = dataclasses._FIELD
            made.kw_only = False
            fields[name] = made
        body.pop("__dict__", None)
        body.pop("__weakref__", None)
        defaults = {
            name: made
            for name, made in fields.items()
            if made.default is not MISSING or made.default_factory is not MISSING
        }
        body.update(
            __slots__=tuple(own),
            __match_args__=tuple(fields),
            __dataclass_fields__=fields,
            __dataclass_params__=_PARAMS,
            _record_names=tuple(fields),
            _record_defaults=defaults,
            _record_check=body.get("__post_init__"),
            __init__=body.get("__init__") or _init,
            __setattr__=_set,
            __delattr__=_delete,
            __getstate__=_get_state,
            __setstate__=_set_state,
        )
        for name, method in (("__repr__", _repr), ("__eq__", _eq), ("__hash__", _hash)):
            if body.get(name) is None:
                body[name] = method
        made = type(cls)(cls.__name__, cls.__bases__, body)
        made.__qualname__ = cls.__qualname__
        return made

    class _Params:
        init = repr = eq = frozen = slots = match_args = True
        order = unsafe_hash = kw_only = weakref_slot = False

    _PARAMS = _Params()
    _put = object.__setattr__

    def _init(self, *args, **kwargs):
        names = self._record_names
        if len(args) > len(names):
            raise TypeError(
                f"{type(self).__name__} takes {len(names)} values, {len(args)} were given"
            )
        for name, value in zip(names, args):  # noqa: B905
            _put(self, name, value)
        for name in names[len(args) :]:
            if name in kwargs:
                _put(self, name, kwargs.pop(name))
                continue
            made = self._record_defaults.get(name)
            if made is None:
                raise TypeError(f"{type(self).__name__} needs a value for '{name}'")
            default = made.default
            _put(self, name, made.default_factory() if default is MISSING else default)
        if kwargs:
            name = next(iter(kwargs))
            reason = "was given twice" if name in names else "is unknown"
            raise TypeError(f"{type(self).__name__}: '{name}' {reason}")
        if self._record_check is not None:
            self._record_check()

    def _set(self, name, value):
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def _delete(self, name):
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def _values(self):
        return tuple([getattr(self, name) for name in self._record_names])

    def _get_state(self):
        return list(_values(self))

    def _set_state(self, state):
        for name, value in zip(self._record_names, state):  # noqa: B905
            _put(self, name, value)

    def _repr(self):
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._record_names)
        return f"{type(self).__qualname__}({shown})"

    def _eq(self, other):
        if other.__class__ is not self.__class__:
            return NotImplemented
        return self is other or _values(self) == _values(other)

    def _hash(self):
        return hash(_values(self))
