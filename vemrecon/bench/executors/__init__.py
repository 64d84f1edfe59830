"""Who does the runs: processes of this machine or workers of dask, which keep limits and leave nothing over."""
