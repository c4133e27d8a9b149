"""Measures parts on this machine; every ratio comes from rounds that alternate within one run."""
