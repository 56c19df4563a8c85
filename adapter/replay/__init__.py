"""Replay: what an autoscaler would have done with a trace."""
