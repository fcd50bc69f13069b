"""A changed module put into a running process: old functions and classes get the code of the new ones.

Whoever has imported a function, made an object of a class or derived another one from it then runs what is new. What
takes effect only while a module is loaded (a decorator's arguments, tables that others built from it) stays as it was.
"""

import functools
import sys
import types

_OF_A_CLASS = {
    "__dict__",
    "__weakref__",
    "__module__",
    "__doc__",
    "__qualname__",
    "__annotations__",
    "__firstlineno__",
    "__static_attributes__",
}


def graft(name, source):
    """Give the loaded module of that name the meaning of ``source``."""
    module = sys.modules[name]
    old, new = vars(module), {"__name__": name, "__file__": module.__file__, "__package__": module.__package__}
    exec(compile(source, module.__file__, "exec"), new)
    for key, value in new.items():
        if not _grafted(old.get(key), value, name) and not key.startswith("__"):
            for other in list(sys.modules.values()):  # a constant that others took over by name
                if other is not module and key in old and getattr(other, "__dict__", {}).get(key) is old[key]:
                    vars(other)[key] = value
            old[key] = value


def _grafted(old, new, name):
    """Whether ``old`` is a function or a class of that module, which has become what ``new`` is."""
    if isinstance(old, type) and isinstance(new, type) and new.__module__ == name:
        for key, value in vars(new).items():
            if key not in _OF_A_CLASS and not _grafted(vars(old).get(key), value, name):
                setattr(old, key, value)
        return True
    if isinstance(old, (staticmethod, classmethod)):
        return _grafted(old.__func__, getattr(new, "__func__", None), name)
    if isinstance(old, property) and isinstance(new, property):
        return _grafted(old.fget, new.fget, name)
    if isinstance(old, functools.cached_property) and isinstance(new, functools.cached_property):
        return _grafted(old.func, new.func, name)
    if hasattr(old, "__wrapped__") and hasattr(new, "__wrapped__"):
        getattr(old, "cache_clear", lambda: None)()
        whole = _grafted(old.__wrapped__, new.__wrapped__, name)
        if not isinstance(old, types.FunctionType):
            return whole
    if (
        not isinstance(old, types.FunctionType)
        or not isinstance(new, types.FunctionType)
        or old.__code__.co_freevars != new.__code__.co_freevars
    ):
        return False
    old.__code__, old.__defaults__, old.__kwdefaults__ = new.__code__, new.__defaults__, new.__kwdefaults__
    for mine, its in zip(old.__closure__ or (), new.__closure__ or ()):
        if not callable(its.cell_contents):  # the old class of super(), and what is decorated, go on
            mine.cell_contents = its.cell_contents
    return True
