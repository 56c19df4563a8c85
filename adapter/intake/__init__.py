"""Outside world in: Kubernetes, sidecar streams and files become Fleet events and Batches."""
