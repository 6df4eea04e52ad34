"""The learning network as a circuit."""
