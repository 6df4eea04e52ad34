"""Boards: synthesis, timing, bitstreams."""
