"""What every worker needs and no domain: health, supervision, logs, its life from start to signal."""
