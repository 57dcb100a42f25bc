"""What the course left open: other inputs, better models, what needs no training, and the evidence."""

from sidlib.beyond import sources  # noqa: F401  what its models see becomes known to dataset.SOURCES
