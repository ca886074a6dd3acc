"""config.yaml read again while the process runs: checked whole, swapped at once, told to every other process."""
