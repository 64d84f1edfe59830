"""What is tracked, of all that is labelled."""

from vemrecon.judges.labelled import SegmentationAt
from vemrecon.judges.tracking import thing, tracked_thing


def test_neurons_are_followed_before_other_things_and_membranes_never():
    neurons, membranes = SegmentationAt("a", "membranes", "neurons"), SegmentationAt("a", "membranes", "membranes")
    mitochondria = SegmentationAt("a", "mitochondria", "mitochondria")
    assert thing(tracked_thing([mitochondria, membranes, neurons])) == "neurons"
    assert thing(tracked_thing([membranes, mitochondria])) == "mitochondria"
    elsewhere = SegmentationAt("a", "membranes", "neurons", reason="no labels here")
    assert thing(tracked_thing([elsewhere, mitochondria])) == "mitochondria"
    assert tracked_thing([elsewhere]).reason == "no labels here"
    assert "no labels" in tracked_thing([membranes]).reason
