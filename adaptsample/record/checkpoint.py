"""The last fitted model on disk, so that a resumed run need not fit again.

A model is a tree: frozen dataclasses, named tuples, functions of the surrogates and partial ones,
whose leaves are tensors, numbers and text.
Tensors go into a safetensors file, the rest into its header as JSON, with a hash over everything.
Nothing is unpickled, and only classes of this library and of the surrogate's own package are made.

A checkpoint saves time and nothing else. A model that is no such tree has none, and one that is
missing, damaged or from another version is as good as none: then the run fits again.
"""

import hashlib
import importlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from inspect import isfunction
from pathlib import Path
from typing import Any, final

import torch
from safetensors.torch import load, save
from torch import Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.files import write_file
from adaptsample.core.provenance import versions
from adaptsample.surrogates.protocol import Model

_LIBRARY = "adaptsample"
_FEATURES = "adaptsample.surrogates."


@final
@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model and what it takes to continue from it.

    Args:
        round: in which it was fitted.
        data: hash of what it was fitted to.
        model: the model.
        previous: the model before, if there was one.
    """

    round: int
    data: str
    model: Model
    previous: Model | None

    def write(self, path: Path) -> None:
        """Keep it in a file, if it is a tree that can be kept and the disk allows."""
        with suppress(OSError, _NoTreeError):
            tensors: dict[str, Tensor] = {}
            tree = _flattened([self.model, self.previous], tensors)
            header = {"round": self.round, "data": self.data, "tree": tree, "made_by": versions()}
            text = json.dumps(header)
            write_file(path, save(tensors, {"header": text, "hash": _hash(text, tensors)}))

    @classmethod
    def read(cls, path: Path, *, package: str) -> "Checkpoint | None":
        """Return what the file holds; None if it is not there, not whole or not of this version.

        Args:
            path: the file.
            package: whose classes may be made, besides those of this library.
        """
        try:
            content = path.read_bytes()
            length = int.from_bytes(content[:8], "little")
            metadata = json.loads(content[8 : 8 + length])["__metadata__"]
            tensors = load(content)
            header = json.loads(metadata["header"])
            if metadata["hash"] != _hash(metadata["header"], tensors):
                return None
            if header["made_by"] != versions():
                return None
            model, previous = _restored(header["tree"], tensors, {_LIBRARY, package})
            if not isinstance(model, Model):
                return None
            return cls(header["round"], header["data"], model, previous)
        except Exception:  # whatever a damaged file leads to, it is no checkpoint
            return None


def fingerprint(data: Dataset) -> str:
    """Return a hash of a training set."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (data.x, data.y, data.gradient):
        digest.update(b"" if part is None else part.contiguous().numpy().tobytes())
    return digest.hexdigest()


class _NoTreeError(Exception):
    """A model that cannot be kept."""


def _flattened(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return a value as JSON, its tensors put aside."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        # of a transposed matrix the memory is kept, for sums to be taken in the same order
        is_transposed = value.ndim == 2 and not value.is_contiguous() and value.T.is_contiguous()
        kept = value.T if is_transposed else value
        tensors[name] = kept.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"tensor": name, "transposed": is_transposed, "device": value.device.type}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {"tuple": _class_name(value), "items": [_flattened(v, tensors) for v in value]}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [_flattened(v, tensors) for v in value]}
    if isfunction(value) and value.__module__.startswith(_FEATURES):
        value = partial(value)
    if isinstance(value, partial):
        function = f"{value.func.__module__}:{getattr(value.func, '__qualname__', '')}"
        items = [_flattened(v, tensors) for v in (value.args, *value.keywords.values())]
        return {"partial": function, "items": items, "names": list(value.keywords)}
    if is_dataclass(value) and not isinstance(value, type):
        parts = {f.name: _flattened(getattr(value, f.name), tensors) for f in fields(value)}
        return {"class": _class_name(value), "fields": parts}
    raise _NoTreeError


def _restored(tree: Any, tensors: Mapping[str, Tensor], packages: set[str]) -> Any:
    if not isinstance(tree, dict):
        return tree
    if "tensor" in tree:
        tensor = tensors[tree["tensor"]].to(tree["device"])
        return tensor.T if tree["transposed"] else tensor
    for kind in (list, tuple):
        if kind.__name__ in tree and "items" not in tree:
            return kind(_restored(item, tensors, packages) for item in tree[kind.__name__])
    if "tuple" in tree:
        items = [_restored(item, tensors, packages) for item in tree["items"]]
        cls = _class(tree["tuple"], packages)
        if not (issubclass(cls, tuple) and hasattr(cls, "_fields")):
            raise ValueError(f"{cls} is no named tuple")
        return cls(*items)
    if "partial" in tree:
        function = _function(tree["partial"])
        args, *values = (_restored(item, tensors, packages) for item in tree["items"])
        named = dict(zip(tree["names"], values, strict=True))
        return partial(function, *args, **named) if args or named else function
    cls = _class(tree["class"], packages)
    if not is_dataclass(cls):
        raise ValueError(f"{cls} is no dataclass")
    value = object.__new__(cls)  # as it was when it was kept, so nothing is checked or computed
    for name in (f.name for f in fields(cls)):
        object.__setattr__(value, name, _restored(tree["fields"][name], tensors, packages))
    return value


def _class_name(value: object) -> str:
    cls = type(value)
    return f"{cls.__module__}:{cls.__qualname__}"


def _class(name: str, packages: set[str]) -> type:
    module, _, qualname = name.partition(":")
    if module.partition(".")[0] not in packages or not qualname.isidentifier():
        raise ValueError(f"{name} is no class that a checkpoint may hold")
    cls = vars(importlib.import_module(module))[qualname]
    if not isinstance(cls, type) or cls.__module__ != module:
        raise ValueError(f"{name} is no class of {module}")
    return cls


def _function(name: str) -> Any:
    module, _, qualname = name.partition(":")
    if not module.startswith(_FEATURES) or not qualname.isidentifier():
        raise ValueError(f"{name} is no function that a checkpoint may hold")
    function = vars(importlib.import_module(module))[qualname]
    if not isfunction(function) or function.__module__ != module:
        raise ValueError(f"{name} is no function of {module}")
    return function


def _hash(header: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.blake2b(header.encode(), digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}/{tensor.dtype}/{tuple(tensor.shape)}/".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
