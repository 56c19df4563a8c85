"""The demo: the whole path on one machine, with processes in place of pods."""
