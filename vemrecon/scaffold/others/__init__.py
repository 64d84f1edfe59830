"""Examples of a metric, a degradation and a dataset, which `vemrecon new` copies."""
