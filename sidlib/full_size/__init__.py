"""Full size: a dark RAW file in, the photograph out."""
