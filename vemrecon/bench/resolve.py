"""From what was asked to what is on this machine: datasets, splits, labels and defects. The only step that looks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vemrecon import protocol
from vemrecon.arguments import check_arguments
from vemrecon.bench.chosen_methods import ChosenMethod, chosen_methods
from vemrecon.bench.learning import (
    Learning,
    Lesson,
    check_regime,
    check_removable,
    given,
    learning_elsewhere,
    learning_of,
)
from vemrecon.bench.request import Request, Setup, metrics_of
from vemrecon.bench.scorable import usual_split
from vemrecon.bench.segmentations import located_segmentations
from vemrecon.bench.spec import CONTAMINATED, KIND_AXES, WEIGHTS
from vemrecon.data import DatasetCard, Located, Locator, Split, dataset_card, task_volume
from vemrecon.data.catalogue import LOCAL
from vemrecon.data.damage import damage_of
from vemrecon.data.inspect import check_card, inspection_of
from vemrecon.data.overlap import require_no_copy
from vemrecon.data.split import guard_voxels
from vemrecon.data.volume_at import VolumeAt
from vemrecon.degradations import Degradation, make_degradation, trimmed
from vemrecon.errors import ConfigError, DataError
from vemrecon.files import digest_of
from vemrecon.judges.labelled import SegmentationAt
from vemrecon.metrics.catalogue import expanded
from vemrecon.metrics.score import Need
from vemrecon.progress import Say
from vemrecon.volume import Volume, check_range, require_content
from vemrecon.volume.geometry import require_square

if TYPE_CHECKING:
    from vemrecon.fit.learned import Learned


@dataclass(frozen=True)
class ChosenSplit:
    """A split to score, as cards know it."""

    card: DatasetCard
    kind: str
    split: Split
    learning: Learning | None
    """What methods learn from; None where no method learns, or the dataset has no training split."""

    @property
    def splits(self) -> tuple[tuple[DatasetCard, Split], ...]:
        """The splits whose files are needed."""
        return (self.card, self.split), *(self.learning.splits if self.learning else ())


@dataclass(frozen=True)
class ResolvedSplit:
    """A split to score, on this machine."""

    dataset: str
    kind: str
    split: Split
    truth: VolumeAt
    training: tuple[VolumeAt, ...]
    """None to learn from the observed test volume itself."""
    validation: tuple[VolumeAt, ...]
    learning: Mapping[str, Any] | None
    """Mode, split and digests of what is learned from, as a specification of runs has them."""
    watched: Sequence[Mapping[str, str]]
    """The same of what weights are chosen by, for methods that choose."""
    choice_fault: str
    """Why none may choose; empty if they may."""
    defects: tuple[int, ...]
    """Damaged sections, counted from the first of the split; unknown (none) where data are not looked into."""
    segmentation: tuple[SegmentationAt, ...]


@dataclass(frozen=True)
class ResolvedRequest:
    """A request with what it needs."""

    request: Request
    methods: tuple[ChosenMethod, ...]
    splits: tuple[ResolvedSplit, ...]


@dataclass(frozen=True)
class Resolved:
    """All that a plan is made from."""

    setup: Setup
    requests: tuple[ResolvedRequest, ...]


def resolve(requests: Sequence[Request], setup: Setup, *, fetch: bool, say: Say = lambda text: None) -> Resolved:
    """Find the data of requests.

    Args:
        requests: What to run.
        setup: Where data and runs are.
        fetch: Whether to get missing data now and look into them; without it only names are checked.
        say: Told what takes time.

    Raises:
        VemreconError: For an unknown name or argument, a missing or unusable dataset, or a scale that cannot be used.
    """
    locator = Locator(setup.scratch, setup.data_root, setup.voxels, setup.grey_range, fetch, say, setup.reading)
    methods = [chosen_methods(request) for request in requests]
    chosen = [tuple(chosen_splits(*one, locator)) for one in zip(requests, methods, strict=True)]
    if fetch:  # all that is missing, in one message
        locator.fetch_all((card, split.file) for part in chosen for one in part for card, split in one.splits)
    return Resolved(
        setup,
        tuple(
            ResolvedRequest(request, used, tuple(_resolved(request, one, locator) for one in part))
            for request, used, part in zip(requests, methods, chosen, strict=True)
        ),
    )


def chosen_splits(request: Request, methods: Sequence[ChosenMethod], locator: Locator) -> Iterator[ChosenSplit]:
    """The splits that a request scores, and what its methods learn from, with everything checked that cards tell.

    Raises:
        ConfigError: For an unknown name or argument, or what could only be done by learning from what is scored.
    """
    for name in request.degradation:
        for scale in request.scale:
            checked_degradation(name, scale, request.set.get(name, {}))
    for dataset in request.dataset:
        card = dataset_card(dataset, locator.voxel_size, locator.reading)
        if card.voxel_size is None and card.name.startswith(LOCAL):
            locator.volume(card, next(iter(card.files)))  # says why
        kind = task_kind(card, request.task)
        metrics_of(kind, request.metrics, request.missing_sections)  # refuses what none of them can score
        for split in card.members(request.split or usual_split(card, kind)):
            learning = None
            learners = [method for method in methods if method.has_learned]
            weights = next((method.learned for method in learners if method.learned), None)
            if weights and not request.fine_tune:
                learning = given(weights)
            elif learners:
                learning = _learning(request, card, kind, split, locator)
                learning = replace(learning, weights=weights) if learning else None
            if request.missing_sections:
                check_removable(card, kind, split, learning)
            for method in learners:
                check_regime(method.name, method.card.regime, request.mode, card.name, kind, learning)
            yield ChosenSplit(card, kind, split, learning)


def _learning(request: Request, card: DatasetCard, kind: str, split: Split, locator: Locator) -> Learning | None:
    if not request.learn_from:
        return learning_of(card, split, kind, request.mode)
    return learning_elsewhere(
        request.learn_from, card, split, lambda name: dataset_card(name, locator.voxel_size, locator.reading)
    )


def checked_degradation(name: str, scale: float, arguments: Mapping[str, Any]) -> Degradation:
    """A degradation whose arguments have the types that it states.

    Raises:
        ConfigError: If it cannot be used with them, or at this scale.
    """
    if arguments:
        check_arguments(type(make_degradation(name, scale)), name, arguments, given=("scale",))
    return make_degradation(name, scale, arguments)


def task_kind(card: DatasetCard, wanted: str | None) -> str:
    """The kind of task that is asked for, or the usual one of the dataset.

    Raises:
        ConfigError: If the dataset does not allow it.
    """
    kind = wanted or card.tasks[0]
    if kind not in card.tasks:
        voxels = f"{card.voxel_size}" if card.voxel_size else "of unknown size: give --voxel-size Z Y X"
        raise ConfigError(f"{card.name}: its voxels ({voxels}) allow --task {' or '.join(card.tasks)}, not {kind}")
    return kind


def _resolved(request: Request, chosen: ChosenSplit, locator: Locator) -> ResolvedSplit:
    card, kind, split, learning = chosen.card, chosen.kind, chosen.split, chosen.learning
    located = locator.volume(card, split.file)
    lessons = learning.lessons if learning else ()
    sources = [locator.volume(lesson.card, lesson.train.file) for lesson in lessons]
    held_out = [(lesson.card, lesson.val) for lesson in lessons if lesson.val]
    watched = [locator.volume(owner, part.file) for owner, part in held_out]
    defects: tuple[int, ...] = ()
    if locator.fetch:
        defects = _checked(request, chosen, located, locator)
        for lesson, source in zip(lessons, sources, strict=True):
            same = (lesson.card.name, lesson.train.file, source.digest) == (card.name, split.file, located.digest)
            if not same:  # cards of the same name may be different ones
                _check_lesson(lesson, source)
                if kind != "native" and learning and learning.mode != CONTAMINATED:
                    require_no_copy(lesson.train, source, split, located, locator.scratch)
            _say_damage(lesson.train, source, locator)
        if learning and learning.weights and kind != "native":
            _require_unseen(learning.weights, card, split, located)
        if learning and not lessons and learning.mode != WEIGHTS:
            _say_damage(split, located, locator)
    segmentation: tuple[SegmentationAt, ...] = ()
    if any(Need.LABELS in spec.needs for spec in expanded(metrics_of(kind, request.metrics, request.missing_sections))):
        segmentation = located_segmentations(card, split, request.preset, locator, request.segmenter)
    return ResolvedSplit(
        card.name,
        kind,
        split,
        VolumeAt.of(located, split),
        tuple(VolumeAt.of(source, lesson.train) for lesson, source in zip(lessons, sources, strict=True)),
        tuple(VolumeAt.of(volume, part) for volume, (_, part) in zip(watched, held_out, strict=True)),
        learning.identity(sources) if learning else None,
        learning.watched(watched) if learning else (),
        learning.choice_fault(card, split, kind) if learning else "",
        defects,
        segmentation,
    )


def _check_lesson(lesson: Lesson, source: Located) -> None:
    """Refuse a volume to learn from that is not what its card says, or whose grey values nobody knows."""
    card = lesson.card
    if not card.name.startswith(LOCAL):
        check_card(source.as_it_says(), card, card.files[lesson.train.file])
    _check_range(task_volume(source, lesson.train), card)


def _require_unseen(weights: Learned, card: DatasetCard, split: Split, located: Located) -> None:
    """Refuse weights that say they were learned from what is scored, or too near to it, or chosen there."""
    guard = guard_voxels(card.voxel_size, protocol.protocol()["guard_nm"])
    for region in weights.regions:
        if region.near(located.digest, split.region, guard):
            done = "chosen by" if region.watched else "learned from"
            raise ConfigError(
                f"{weights.path}: was {done} {region}, which split '{split.name}' overlaps or lies too near to; scores "
                f"would be of what was learned; name another split or other weights"
            )


def _say_damage(learned: Split, source: Located, locator: Locator) -> None:
    """Name the damaged sections that methods learn from, by their numbers in the file."""
    volume, region = task_volume(source, learned), learned.region
    identity = digest_of([source.digest, source.dataset, source.reading.said(), learned.digest])
    damage = damage_of(identity, volume, locator.scratch)
    for line in damage.behind(region.start[0] if region else 0).learned():
        locator.say(f"{volume.name}: {line}")


def _checked(request: Request, chosen: ChosenSplit, located: Located, locator: Locator) -> tuple[int, ...]:
    """Damaged sections of a split that can be degraded, reconstructed and scored.

    Raises:
        DataError: If it cannot.
    """
    file = chosen.card.files[chosen.split.file]
    if not chosen.card.name.startswith(LOCAL):
        check_card(located.as_it_says(), chosen.card, file)
    volume = task_volume(located, chosen.split)
    defects = _defects(chosen, located, volume, locator)
    volume.require_voxel_size()
    require_square(volume)
    for note in volume.notes:
        locator.say(f"{located.path.name}: {note}")
    require_content(volume)
    for note in _check_range(volume, chosen.card):
        locator.say(f"{volume.name}: {note}")
    if chosen.kind == "native":
        if volume.shape[0] < 2:
            raise DataError(f"{volume.name}: a single section cannot be reconstructed")
        return defects
    for scale in request.scale:
        cut = trimmed(volume.with_axis_first("zyx".index(KIND_AXES[chosen.kind])), scale)
        for name in request.degradation:
            count = checked_degradation(name, scale, request.set.get(name, {})).sections(cut.shape[0])
            if request.missing_sections:
                request.missing_sections.numbers(count, 0)  # refuses too many
    return defects


def _check_range(volume: Volume, card: DatasetCard) -> tuple[str, ...]:
    try:
        return check_range(volume)
    except DataError as error:
        if card.name.startswith(LOCAL):
            raise
        raise DataError(f"{error}; or state intensity_range in the card of {card.name}") from error


def _defects(chosen: ChosenSplit, located: Located, volume: Volume, locator: Locator) -> tuple[int, ...]:
    """Damaged sections of the scored region, counted from its first section."""
    card, region = chosen.card, chosen.split.region
    start, stop = (region.start[0], region.stop[0]) if region else (0, volume.shape[0])
    file = card.files[chosen.split.file]
    inspection = inspection_of(digest_of([located.digest, file.dataset]), located.open(), locator.scratch)
    found = {*file.defects, *inspection.defects(card.exclude_outliers)}
    return tuple(sorted(z - start for z in found if start <= z < stop))
