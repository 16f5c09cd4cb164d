"""The command line `carillon`: up, demo, dlq, audit, keys. Every command knows `--json`."""
