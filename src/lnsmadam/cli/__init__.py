"""The command line: a module a command, or a few of one kind; :mod:`lnsmadam.cli.main` puts them together."""
