"""Whether a method, metric, degradation or dataset keeps to what all of its kind promise: `vemrecon check`."""
