"""The sidecar: reads NVML and the model server's queue of one pod, and streams what it saw."""
