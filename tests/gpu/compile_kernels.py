"""Compile every Triton kernel for a GPU, which need not be there: registers, spills, shared memory.

    python -m tests.gpu.compile_kernels [--capability 90] [--cases p4 p8 …]

Nothing runs. One line a kernel, exit code 1 if one does not compile. Needs Triton for Linux. The
tests run it in a process of its own, since in theirs the kernels are interpreted.
"""

from __future__ import annotations

import argparse
import inspect
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

# group, lifting, heads, c, image, window, dtype, dropout: layers of the paper's networks.
CASES: dict[str, tuple[str, bool, int, int, int, int, torch.dtype, float]] = {
    "p4": ("p4", False, 9, 10, 28, 5, torch.float32, 0.1),
    "p4 lifting": ("p4", True, 9, 10, 28, 5, torch.float32, 0.1),
    "z2": ("z2", False, 9, 10, 28, 5, torch.float32, 0.1),
    "p8": ("p8", False, 9, 10, 28, 5, torch.float32, 0.1),
    "p12": ("p12", False, 9, 10, 28, 5, torch.float32, 0.1),
    "p16": ("p16", False, 9, 10, 28, 5, torch.float32, 0.1),
    "mz2 CIFAR10": ("mz2", False, 9, 96, 32, 5, torch.bfloat16, 0.1),
    "p4m PCam": ("p4m", False, 9, 12, 48, 5, torch.float16, 0.0),
    "p4 global": ("p4", False, 9, 10, 14, 27, torch.float32, 0.0),
}
TYPES = {
    torch.float32: "*fp32",
    torch.bfloat16: "*bf16",
    torch.float16: "*fp16",
    torch.int64: "*i64",
}


class Compiled:
    """A kernel that is compiled for the arguments of a launch, and not launched."""

    def __init__(self, kernel: Any, capability: int) -> None:
        self.kernel, self.capability = kernel, capability
        self.reports: list[str] = []

    def __getitem__(self, grid: tuple[int, ...]) -> Compiled:
        return self

    def __call__(self, *arguments: Any, **keywords: Any) -> None:
        """Compile as `kernel[grid](…)` would."""
        import triton
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource

        given = dict(zip(self.kernel.arg_names, arguments, strict=False))
        names = inspect.signature(self.kernel.fn).parameters
        constants = {name: value for name, value in keywords.items() if name in names}
        options = {name: value for name, value in keywords.items() if name not in names}
        assert [*given, *constants] == list(names) or {*given, *constants} == {*names}, self.kernel
        signature = {name: _type(given[name]) if name in given else "constexpr" for name in names}
        source = ASTSource(fn=self.kernel, signature=signature, constexprs=constants)
        target = GPUTarget("cuda", self.capability, 32)
        compiled = triton.compile(source, target=target, options=options)
        self.reports.append(_resources(compiled))


def _type(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return TYPES[value.dtype]
    if isinstance(value, float):
        return "fp32"
    return "i32" if -(2**31) <= value < 2**31 else "i64"


def _resources(compiled: Any) -> str:
    """Resources by the assembler, and how often the layout of a tensor changes in the program."""
    import triton.backends.nvidia as nvidia

    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        tool = Path(nvidia.__file__).parent / "bin" / "cuobjdump"
        command = [str(tool), "--dump-resource-usage", file.name]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    usage = dict(re.findall(r"(REG|STACK|SHARED|LOCAL):(\d+)", said))
    spilled = int(usage["STACK"]) + int(usage["LOCAL"])
    changes = len(re.findall("convert_layout", compiled.asm["ttgir"]))
    return (
        f"{usage['REG']:>4} registers {spilled:>5} bytes spilled {usage['SHARED']:>5} bytes shared"
        f" {changes:>3} changes of layout"
    )


def main(arguments: list[str] | None = None) -> int:
    """Compile the cases and print their resources."""
    from g_selfatt import groups
    from g_selfatt.backends.triton import launch
    from g_selfatt.functional import group_index

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--capability", type=int, default=90)
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    options = parser.parse_args(arguments)
    names = [name for name in vars(launch) if name.endswith("_kernel")]
    kernels = {name: Compiled(getattr(launch, name), options.capability) for name in names}
    for name, kernel in kernels.items():
        setattr(launch, name, kernel)
    failed = False
    for case in options.cases:
        name, lifting, heads, c, size, window, dtype, rate = CASES[case]
        group = groups.get(name)
        elements, d = (1, c) if lifting else (group.num_elements, 2 * (c // 3))
        q, k, v = (torch.zeros(2, heads, c, elements, size, size, dtype=dtype) for _ in range(3))
        table = torch.zeros(group.num_elements, d, window, window)
        embedding = None if lifting else torch.zeros(group.num_elements, c - d)
        index = None if lifting else group_index(group, "equivariant")
        seed = torch.zeros(1, dtype=torch.int64)
        for kernel in kernels.values():
            kernel.reports.clear()
        try:
            call = launch.Call(q, k, v, table, embedding, index, seed, 0.2, rate)
            out, lse = call.forward()
            call.backward(out, lse, [True] * 5)
        except Exception as error:  # the compiler's, of any kind
            failed = True
            print(f"{case:12} FAIL {type(error).__name__}: {error}")
        for name, kernel in kernels.items():
            for report in kernel.reports:
                print(f"{case:12} {name:15} {report}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
