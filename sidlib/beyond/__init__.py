"""What the course left open at a tenth of the size: inputs, baselines that learn nothing, a better model, evidence."""
