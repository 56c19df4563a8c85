"""Snapshot out: the aggregated Kubernetes APIs over HTTPS."""
