"""The adapter: holds every pod's readings in memory and answers the Kubernetes metrics APIs."""
