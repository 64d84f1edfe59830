"""The command that begins a package with a method, metric, degradation or dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vemrecon.errors import ConfigError
from vemrecon.options import Options, option
from vemrecon.scaffold.package import Like, NewKind, write_package


@dataclass(frozen=True, kw_only=True)
class NewOptions(Options):
    """Options of `new`."""

    kind: NewKind = option("what it is to hold", positional=True, noun="kind of package")
    name: str = option("of that, such as my-method", positional=True)
    like: Like | None = option("example that a method begins as", None, unset="self-supervised")
    out: Path = option("folder in which that of the package is made", Path())

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.like and self.kind != "method":
            raise ConfigError(f"--like {self.like}: is for methods, not for a {self.kind}")


def new(options: NewOptions) -> int:
    """Write the package, and say what to do next."""
    package = write_package(options.kind, options.name, options.out, options.like or "self-supervised")
    print(f"wrote {package.place}")
    for file in sorted(one for one in package.place.rglob("*") if one.is_file()):
        print(f"  {file.relative_to(package.place)}")
    print(f"next, in {package.place}:")
    print(f"  vemrecon {' '.join(package.check)}")
    print("  pip install -e .")
    print(f"  vemrecon {' '.join(package.bench)}")
    return 0
