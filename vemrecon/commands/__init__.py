"""What the subcommands do. Each function gets the parsed options and gives an exit code."""
