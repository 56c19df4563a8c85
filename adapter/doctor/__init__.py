"""Doctor: what stands between a cluster and an HPA that scales, found from the cluster's facts."""
