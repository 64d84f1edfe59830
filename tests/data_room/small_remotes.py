"""Miniature volumes in the formats of remote ones, and a web server for them."""

import json
import re
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SHARDS = {
    "@type": "neuroglancer_uint64_sharded_v1",
    "preshift_bits": 1,
    "hash": "identity",
    "minishard_bits": 1,
    "shard_bits": 1,
    "minishard_index_encoding": "gzip",
    "data_encoding": "gzip",
}


def write_precomputed(folder, voxels, voxel_size=(45, 4.3, 4.3), offset=(0, 0, 0), kind="image", sharded=False):
    """Write (z, y, x) voxels with tensorstore; `offset` is the first voxel of the volume, as the format allows."""
    import tensorstore

    metadata = {
        "size": voxels.shape[::-1],
        "encoding": "compressed_segmentation" if kind == "segmentation" else "raw",
        "chunk_size": [32, 32, 8],
        "resolution": voxel_size[::-1],
        "voxel_offset": offset[::-1],
    }
    if kind == "segmentation":
        metadata["compressed_segmentation_block_size"] = [8, 8, 8]
    if sharded:
        metadata["sharding"] = SHARDS
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "file", "path": f"{folder}/"},
        "multiscale_metadata": {"type": kind, "data_type": str(voxels.dtype), "num_channels": 1},
        "scale_metadata": metadata,
        "create": True,
        "delete_existing": True,
    }
    tensorstore.open(spec).result()[...] = voxels.T[..., None]


def write_levels(folder, voxels, voxel_size, place=(0, 0, 0), kind="zarr"):
    """Write (z, y, x) voxels as the level `em/s0` of an image with two levels, the second of which is not there.

    Args:
        folder: Container.
        voxels: (z, y, x).
        voxel_size: In nm.
        place: Of the centre of the first voxel, in nm.
        kind: zarr (2), zarr3 or n5.
    """
    import tensorstore

    array = Path(folder) / "em" / "s0"
    kvstore = {"driver": "file", "path": f"{array}/"}
    if kind == "n5":
        metadata = {
            "dimensions": voxels.shape[::-1],
            "blockSize": [16, 16, 8],
            "dataType": str(voxels.dtype),
            "compression": {"type": "gzip"},
        }
        spec = {"driver": "n5", "kvstore": kvstore, "metadata": metadata, "create": True}
        tensorstore.open(spec).result()[...] = voxels.T
        facts = json.loads((array / "attributes.json").read_text())
        transform = {"axes": list("zyx"), "scale": voxel_size, "units": ["nm"] * 3, "translate": place}
        (array / "attributes.json").write_text(json.dumps({**facts, "transform": transform}))
        return
    if kind == "zarr":
        metadata = {
            "shape": voxels.shape,
            "chunks": [8, 16, 16],
            "dtype": voxels.dtype.newbyteorder("<").str,
            "dimension_separator": "/",
        }
        spec = {"driver": "zarr", "kvstore": kvstore, "metadata": metadata, "create": True}
    else:
        metadata = {"shape": voxels.shape, "data_type": str(voxels.dtype), "dimension_names": list("zyx")}
        spec = {"driver": "zarr3", "kvstore": kvstore, "metadata": metadata, "create": True}
    tensorstore.open(spec).result()[...] = voxels
    moved = [{"type": "scale", "scale": list(voxel_size)}, {"type": "translation", "translation": list(place)}]
    coarser = [{"type": "scale", "scale": [2 * edge for edge in voxel_size]}]
    image = {
        "name": "em",
        "axes": [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"],
        "datasets": [
            {"path": "s0", "coordinateTransformations": moved},
            {"path": "s1", "coordinateTransformations": coarser},
        ],
    }
    if kind == "zarr":
        (array.parent / ".zattrs").write_text(json.dumps({"multiscales": [{"version": "0.4", **image}]}))
    else:
        ome = {
            "zarr_format": 3,
            "node_type": "group",
            "attributes": {"ome": {"version": "0.5", "multiscales": [image]}},
        }
        (array.parent / "zarr.json").write_text(json.dumps(ome))


class Files(SimpleHTTPRequestHandler):
    """Files of a folder, and parts of them; after `fuse` files with voxels, errors."""

    def do_GET(self):
        server = self.server
        if re.search(r"\d$|\.shard$", self.path):
            server.voxels.append(self.path)
            if server.fuse is not None and len(server.voxels) > server.fuse:
                self.send_error(503)
                return
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if asked is None or not path.is_file():
            super().do_GET()
            return
        body = path.read_bytes()
        first, last = asked.groups()
        start = int(first) if first else len(body) - int(last)
        stop = min(int(last) + 1, len(body)) if first and last else len(body)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(body)}")
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        self.wfile.write(body[start:stop])

    def log_message(self, *words):
        pass


class Server(ThreadingHTTPServer):
    """With what was asked for: `voxels` are the paths of files with voxels."""

    fuse = None

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), partial(Files, directory=folder))
        self.voxels = []

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def running(folder):
    """A server on this machine that hands out the files of a folder."""
    server = Server(folder)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
