"""The trainer on a board: frames on a serial line, and the host that sends them."""
