"""Examples of every kind of method, which `vemrecon new method` copies."""
