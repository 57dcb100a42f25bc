"""What the course left open: other inputs, better models, what needs no training, and the evidence."""
