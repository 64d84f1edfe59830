"""Miniature volumes in the precomputed format, and a web server for them."""

import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer


def write_precomputed(folder, voxels, voxel_size=(45, 4.3, 4.3), offset=(0, 0, 0), kind="image"):
    """Write (z, y, x) voxels with tensorstore; `offset` is the first voxel of the volume, as the format allows."""
    import tensorstore

    metadata = {
        "size": voxels.shape[::-1],
        "encoding": "raw",
        "chunk_size": [32, 32, 8],
        "resolution": voxel_size[::-1],
        "voxel_offset": offset[::-1],
    }
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "file", "path": f"{folder}/"},
        "multiscale_metadata": {"type": kind, "data_type": str(voxels.dtype), "num_channels": 1},
        "scale_metadata": metadata,
        "create": True,
        "delete_existing": True,
    }
    tensorstore.open(spec).result()[...] = voxels.T[..., None]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


@contextmanager
def served(folder):
    """Address of a server on this machine that hands out the files of a folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
