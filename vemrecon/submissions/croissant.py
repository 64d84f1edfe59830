"""Descriptions of results and datasets in Croissant 1.0 (schema.org in JSON-LD), for whoever searches for them.

Source: MLCommons Croissant format specification, version 1.0.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from vemrecon.data import DatasetCard, dataset_card
from vemrecon.errors import VemreconError
from vemrecon.files import make_folder, sha256_of, write_json
from vemrecon.version import __version__

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
CONFORMS = "http://mlcommons.org/croissant/1.0"
UNKNOWN = "not established"


def write_croissant(out: Path, board: Path, datasets: list[str]) -> list[Path]:
    """Write results.json, and one file for each dataset.

    Args:
        out: Their folder.
        board: Folder of a board.
        datasets: Names of those that its tasks are of.
    """
    make_folder(out)
    written = [out / "results.json"]
    write_json(written[0], of_results(board))
    for name in datasets:
        try:
            card = dataset_card(name)
        except VemreconError:
            continue  # of a package that is not installed here
        written.append(out / f"{name}.json")
        write_json(written[-1], of_dataset(card))
    return written


def of_results(board: Path) -> dict[str, Any]:
    """The long table of a board: every score of every run."""
    table = board / "leaderboard.csv"
    with table.open(encoding="utf-8", newline="") as file:
        columns = next(csv.reader(file))
    return {
        **_head("vemrecon-results", "Scores of isotropic reconstructions for volume electron microscopy, a row each."),
        "license": "https://creativecommons.org/licenses/by/4.0/",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "leaderboard.csv",
                "name": "leaderboard.csv",
                "contentUrl": "leaderboard.csv",
                "encodingFormat": "text/csv",
                "sha256": sha256_of(table),
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "scores",
                "name": "scores",
                "field": [
                    {
                        "@type": "cr:Field",
                        "@id": f"scores/{column}",
                        "name": column,
                        "dataType": "sc:Text",
                        "source": {"fileObject": {"@id": "leaderboard.csv"}, "extract": {"column": column}},
                    }
                    for column in columns
                ],
            }
        ],
    }


def of_dataset(card: DatasetCard) -> dict[str, Any]:
    """The files of a dataset, as far as its card knows where they are and what is in them."""
    files = []
    for key, file in card.files.items():
        if not file.url or not file.sha256:
            continue
        files.append(
            {
                "@type": "cr:FileObject",
                "@id": key,
                "name": file.path,
                "contentUrl": file.url,
                "encodingFormat": "application/octet-stream",
                "sha256": file.sha256,
                **({"contentSize": f"{file.bytes} B"} if file.bytes else {}),
            }
        )
    size = f" Voxels (z, y, x): {card.voxel_size} nm." if card.voxel_size else ""
    return {
        **_head(card.name, f"{card.title}.{size} {card.note}".strip()),
        "license": card.licence or UNKNOWN,
        "citeAs": card.citation or UNKNOWN,
        "distribution": files,
    }


def _head(name: str, words: str) -> dict[str, Any]:
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": name,
        "description": words,
        "conformsTo": CONFORMS,
        "version": __version__,
    }
