"""Processes that prepare patches are forked; not every reader stands that."""

import multiprocessing

import numpy as np
import tensorstore
from small_volumes import textured

from vemrecon.data.source import Source
from vemrecon.degradations import make_degradation
from vemrecon.volume import open_volume

GREY = textured((8, 24, 24))


def total(source, results):
    results.put(float(source.sections[0].sum()))


def test_a_forked_process_sees_volumes_whose_reader_does_not_stand_it(tmp_path):
    spec = {"driver": "n5", "kvstore": {"driver": "file", "path": f"{tmp_path}/v.n5/"}, "metadata": {
        "dimensions": [24, 24, 8], "blockSize": [8, 8, 8], "dataType": "uint8", "compression": {"type": "raw"}},
        "store_data_equal_to_fill_value": True}  # fmt: skip
    tensorstore.open(spec, create=True).result()[...] = GREY.T
    np.save(tmp_path / "v.npy", GREY)
    volume = open_volume(tmp_path / "v.n5")
    assert not volume.fork_safe and not volume.with_axis_first(1).fork_safe
    assert open_volume(tmp_path / "v.npy").fork_safe
    source = Source.of([volume], make_degradation("average", 2), "self")
    source.hold()
    fork = multiprocessing.get_context("fork")
    results = fork.Queue()
    child = fork.Process(target=total, args=(source, results))
    child.start()
    found = results.get(timeout=30)
    child.join()
    assert (child.exitcode, found) == (0, float(source.sections[0].sum()))
