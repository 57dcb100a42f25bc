"""Learning to see in the dark: from RAW files to trained models and their comparison.

The course's modules follow the data: catalog, raw, preprocess, dataset, models (with losses), training, evaluation,
human_check. Beside them, `sample` makes the embedded data set, `beyond` holds what the course left open, `plots` draws,
`paths` knows where things lie, `workers` who does the work, and `backend` imports TensorFlow.
"""
