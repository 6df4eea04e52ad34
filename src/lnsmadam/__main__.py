"""Where ``lnsmadam`` and ``python -m lnsmadam`` begin: Ctrl-C is one line from the first moment on.

The imports of the command line take a second, long enough for a user to change his mind; so they come after this
module has seen to that, and it imports nothing large itself.
"""

import os
import signal
import sys
from types import FrameType

#: What :func:`lnsmadam.cli.main.main` returns for a running command.
INTERRUPTED = 130


def _end(number: int, frame: FrameType | None) -> None:
    """Ends the process at once: there is nothing yet that would have to be ended in order.

    An exception would not do: a module that is being imported may swallow it, or take it for a failure of its own.
    """
    os.write(2, b"lnsmadam: interrupted\n")
    os._exit(INTERRUPTED)


def main() -> int:
    """Runs the command line; returns the exit status."""
    # A shell's background job ignores the signal, and goes on doing so.
    handles = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if handles:
        signal.signal(signal.SIGINT, _end)
    from lnsmadam.cli.main import main as run

    if handles:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run()


if __name__ == "__main__":
    sys.exit(main())
