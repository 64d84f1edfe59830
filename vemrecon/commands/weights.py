"""The command that lists the weights which come with the package."""

from __future__ import annotations

from dataclasses import dataclass

from vemrecon.options import Options, option


@dataclass(frozen=True, kw_only=True)
class WeightsOptions(Options):
    """Options of `weights`."""

    name: str | None = option("show everything about these", None, positional=True)


def weights(options: WeightsOptions) -> int:
    """Names and what they gain, or the card of one."""
    from rich.console import Console
    from rich.table import Table

    from vemrecon.errors import unknown
    from vemrecon.fit.learned import Learned
    from vemrecon.methods.shipped_weights import gain_text, shipped_weights

    known = shipped_weights()
    if options.name:
        if options.name not in known:
            raise unknown("weights", options.name, known)
        one = known[options.name]
        learned = Learned.read(one.verified())
        facts = {
            "weights": one.name,
            "title": one.title,
            "method": learned.method,
            "sections": learned.grid.kind if learned.grid else "",
            "scale": f"{learned.grid.scale:g}" if learned.grid else "",
            "learned from": learned.source,
            "licence": one.licence,
            "data": one.data_licence,
            "regime": "external: nothing is learned from the volume that is reconstructed",
            "limits": one.limits,
            "seconds": f"{one.seconds:g} for a million voxels of output, one thread",
            "file": f"{one.path} ({one.path.stat().st_size / 1e6:.1f} MB, sha256 {one.sha256})",
        }
        for name, value in facts.items():
            print(f"{name + ':':14} {value}")
        print("dB of PSNR over the best kernel, with its 95 % interval:")
        for slug, board in one.boards.items():
            tissue = "tissue that it learned from" if board.seen else "tissue that it has never seen"
            print(f"  {slug}: {gain_text(board)} ({tissue}; run {board.run})")
        return 0
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    for name in ("weights", "method", "sections", "dB over best kernel, unseen tissue"):
        table.add_column(name, no_wrap=name != "dB over best kernel, unseen tissue")
    for one in known.values():
        learned = Learned.read(one.verified())
        sections = f"{learned.grid.kind} x{learned.grid.scale:g}" if learned.grid else ""
        table.add_row(one.name, learned.method or "", sections, one.unseen)
    Console(highlight=False).print(table)
    return 0
