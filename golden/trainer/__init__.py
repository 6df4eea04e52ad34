"""A network that learns sample by sample in LNS words: the integer model of ``trainer``."""
