"""The command `figure`: a panel of sections for a paper."""

from __future__ import annotations

from collections.abc import Sequence

from vemrecon.commands.figure_options import FigureOptions
from vemrecon.commands.figure_spectrum import plot_spectrum
from vemrecon.commands.figure_subject import check_source, labelled, subject_of
from vemrecon.errors import ConfigError
from vemrecon.figure.cuts import CutAt, cut_at
from vemrecon.figure.drawing import check_figure_name, require_matplotlib, write_figure
from vemrecon.figure.layout import Style, bar_length
from vemrecon.figure.plate import Plate, make_plate
from vemrecon.figure.subject import Subject
from vemrecon.report.pictures import length_text
from vemrecon.volume.planes import NORMALS


def figure(options: FigureOptions) -> int:
    """Write the same place of truth, observed volume and reconstructions."""
    check_figure_name(options.output)
    style = _style(options)
    check_source(options)
    if options.spectrum:
        return plot_spectrum(options)
    require_matplotlib()
    subject = labelled(subject_of(options), options.labels)
    planes = options.planes or subject.planes
    if options.errors and subject.truth is None:
        raise ConfigError("--errors: there is no truth that the reconstructions could be compared with")
    where = _place(options, subject)
    if subject.outlined is not None:
        _check_outlined(where, planes, subject.outlined)
    plate = make_plate(
        subject.truth, subject.observed, subject.entries, where, planes, options.errors, subject.outlines
    )
    narrowest = min(plate.size_nm(n)[0] for n in range(len(planes)))
    if bar_length(plate, style) > 0.9 * narrowest:
        raise ConfigError(
            f"--scale-bar {options.scale_bar:g}: too long for the {length_text(narrowest)} that are shown"
        )
    write_figure(options.output, plate, style)
    print(f"{options.output}: {_told(subject, plate, where)}")
    return 0


def _style(options: FigureOptions) -> Style:
    return Style(options.width, options.dpi, options.columns, options.scale_bar)


def _place(options: FigureOptions, subject: Subject) -> CutAt:
    at = options.at or subject.outlined
    return cut_at(subject.shape, subject.voxel_size, subject.observed, at, options.size)


def _check_outlined(where: CutAt, planes: Sequence[str], kept: tuple[int, int, int]) -> None:
    """Refuse planes of which no mask was kept.

    Raises:
        ConfigError: If one lies elsewhere than the planes that go through the voxel `kept`.
    """
    for plane in planes:
        n = NORMALS[plane]
        if where.at[n] != kept[n]:
            at = " ".join(map(str, kept))
            raise ConfigError(f"--segmentation: masks are kept of the planes through --at {at}, which is the default")


def _told(subject: Subject, plate: Plate, where: CutAt) -> str:
    """What a caption would have to say."""
    names = ("z", "y", "x")
    size = where.voxel_size
    facts = [
        ", ".join(f"{axis} = {n}" for axis, n in zip(names, where.at, strict=True)),
        f"voxels of {size}",
    ]
    if subject.observed is not None and subject.observed.recorded(where.at):
        axis = names[subject.observed.axis]
        facts.append(f"the section at {axis} = {where.at[subject.observed.axis]} was recorded as it is")
    if any(picture.caption for line in plate.lines[-len(subject.entries) :] for picture in line.pictures):
        facts.append("PSNR and SSIM are means over all scored sections of a plane")
    if subject.outlined is not None:
        facts.append("outlines: what the segmenter of the runs found in each volume, where labels are scored")
    if plate.limit:
        facts.append(f"colours of errors saturate at {plate.limit} grey levels")
    if plate.uncertainty_limit:
        facts.append(
            f"those of uncertainty at {plate.uncertainty_limit}"
            if plate.limit
            else f"colours of uncertainty saturate at {plate.uncertainty_limit} grey levels"
        )
    return "; ".join(facts)
