"""The report room: reads results, never computes them."""

from vemrecon.report.load import load_results, read_board
from vemrecon.report.terminal import print_table
from vemrecon.report.write import Report, write_report

__all__ = ["Report", "load_results", "print_table", "read_board", "write_report"]
