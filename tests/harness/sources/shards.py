"""Checkpoint files: the tensors in safetensors, and hashes, each computed once."""

import json
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from math import prod
from pathlib import Path
from typing import Any

from filelock import FileLock

from ..errors import AssetError
from ..examination.checkpoint import INDEX
from ..files import cache_folder, sha256, write_atomically
from ..text import readable

_SINGLE = "model.safetensors"
_LONGEST_HEADER = 25_000_000  # bytes: of a hundred thousand tensors
_MOST_DIMENSIONS = 8
_BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 1),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 8),
}  # of a value, by dtype


def tensor_headers(path: Path) -> dict[str, Any]:
    """A safetensors file's tensors: name to dtype, shape and data_offsets; no data is read.

    Raises AssetError, naming the file, if it is empty, cut off or not a safetensors file: the
    library loads some of these without a warning.
    """
    size = path.stat().st_size
    if size < 8:
        raise AssetError(f"{path.name} is empty ({size} bytes): fetch it again")
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        text = stream.read(length) if length < min(size, _LONGEST_HEADER) else b""
    try:
        tensors: dict[str, Any] = json.loads(text)
        tensors.pop("__metadata__", None)
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise AssetError(f"{path.name} is not a safetensors file: fetch it again") from None
    if wrong := _why_wrong(tensors):
        raise AssetError(f"{path.name}: {wrong}: fetch it again")
    end = max((tensor["data_offsets"][1] for tensor in tensors.values()), default=0)
    if size != 8 + length + end:
        raise AssetError(
            f"{path.name} has {size:,} bytes where its header says {8 + length + end:,}: "
            "fetch it again"
        )
    return tensors


def _why_wrong(tensors: dict[str, Any]) -> str:
    """Which tensor's bytes are not those of its shape, or not behind those of the one before."""
    spans = []
    for name, tensor in tensors.items():
        try:
            (first, end), sizes, each = tensor["data_offsets"], tensor["shape"], tensor["dtype"]
            whole = all(type(number) is int and number >= 0 for number in (first, end, *sizes))
            fits = end - first == prod(sizes) * _BYTES[each]
        except (ValueError, KeyError, TypeError):
            whole = fits = False
        if not (whole and fits and len(sizes) <= _MOST_DIMENSIONS):
            return f"the bytes of {readable(name)[:100]} are not those of its shape and dtype"
        spans.append((first, end, name))
    reached = 0
    for first, end, name in sorted(spans):
        if first != reached:
            return f"the bytes of {readable(name)[:100]} are not behind those of the tensor before"
        reached = end
    return ""


def tensor_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Tensor name to shape, of all files; AssetError as `tensor_files`."""
    files = tensor_files(folder)
    headers = {path: tensor_headers(path) for path in set(files.values())}
    return {name: tuple(headers[path][name]["shape"]) for name, path in files.items()}


def shard_names(folder: Path) -> list[str]:
    """The checkpoint's safetensors files; AssetError if there is none, or one is missing."""
    if (folder / INDEX).is_file():
        names = sorted(set(_weight_map(folder).values()))
    elif (folder / _SINGLE).is_file():
        names = [_SINGLE]
    else:
        pickles = sorted(path.name for path in folder.glob("*.bin"))
        why = f" ({pickles[0]} is a pickle, which can run code: not read)" if pickles else ""
        raise AssetError(f"there are no safetensors in {folder}{why}: convert the checkpoint")
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise AssetError(f"{missing[0]}, which the index names, is not in {folder}")
    return names


def _weight_map(folder: Path) -> dict[str, str]:
    """The index: tensor name to file name; a name with a folder in it is refused."""
    try:
        names: dict[str, str] = json.loads((folder / INDEX).read_bytes())["weight_map"]
        outside = [name for name in names.values() if Path(name).name != name]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise AssetError(f"{INDEX} in {folder} cannot be read: fetch it again") from None
    if outside:
        raise AssetError(f"{INDEX} names {outside[0]!r}, which is not beside it: not read")
    return names


def tensor_files(folder: Path) -> dict[str, Path]:
    """Tensor name to the file that holds it; AssetError names a shard that lacks its tensors."""
    headers = {name: tensor_headers(folder / name) for name in shard_names(folder)}
    if (folder / INDEX).is_file():
        index = _weight_map(folder)
        for name, tensors in headers.items():
            expected = [tensor for tensor, file in index.items() if file == name]
            if missing := [tensor for tensor in expected if tensor not in tensors]:
                raise AssetError(
                    f"{name} lacks {len(missing)} of its {len(expected)} tensors, first "
                    f"{missing[0]}: fetch it again"
                )
    elif not headers[_SINGLE]:
        raise AssetError(f"{_SINGLE} in {folder} holds no tensors: fetch it again")
    return {tensor: folder / name for name, tensors in headers.items() for tensor in tensors}


def stored_tensor(files: dict[str, Path], name: str, device: str = "cpu") -> Any:
    """A checkpoint's tensor, as it is stored; `files` as `tensor_files` gives them."""
    from safetensors import safe_open

    with safe_open(files[name], framework="pt", device=device) as shard:
        return shard.get_tensor(name)


def _remembered(memory: Path) -> dict[str, list[Any]]:
    """What was hashed before, without what another version or a damage left."""
    try:
        rows = json.loads(memory.read_bytes()).items()
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}
    return {path: row for path, row in rows if isinstance(row, list) and len(row) == 5}


def digests(paths: list[Path]) -> dict[Path, str]:
    """The files' sha256; remembered by size, times and inode, so that 16 GB are hashed once."""
    memory = cache_folder() / "weights" / "hashes.json"
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        lock: AbstractContextManager[object] = FileLock(memory.with_suffix(".lock"))
        with lock:
            pass
    except OSError:  # of another user, or read-only: nothing is remembered
        lock = nullcontext()
    with lock:
        known = _remembered(memory)
        states = {path: path.stat() for path in paths}
        marks = {p: [s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino] for p, s in states.items()}
        unknown = [p for p in paths if known.get(str(p.resolve()), [None])[:-1] != marks[p]]
        with ThreadPoolExecutor() as pool:
            for path, digest in zip(unknown, pool.map(sha256, unknown), strict=True):
                known[str(path.resolve())] = [*marks[path], digest]
        if unknown and not isinstance(lock, nullcontext):
            write_atomically(memory, json.dumps(known, indent=1))
    return {path: known[str(path.resolve())][-1] for path in paths}


_STAGED = 2**28  # bytes at a time


def copied_to_cpu(tensors: dict[str, Any]) -> dict[str, Any]:
    """The tensors on the CPU; from a CUDA device by way of pinned memory, ten times as fast."""
    import torch

    if not any(tensor.is_cuda for tensor in tensors.values()):
        return tensors
    staging, copies = torch.empty(_STAGED, dtype=torch.uint8, pin_memory=True), {}
    for name, tensor in tensors.items():
        copies[name] = copy = torch.empty_like(tensor, device="cpu")
        ends = (tensor.detach().contiguous(), copy)
        sources, targets = (end.view(-1).view(torch.uint8).split(_STAGED) for end in ends)
        for source, target in zip(sources, targets, strict=True):
            staged = staging[: source.numel()]
            staged.copy_(source)
            target.copy_(staged)
    return copies
