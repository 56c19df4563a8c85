"""Probes and the adapter's own metrics, on a port of their own."""
