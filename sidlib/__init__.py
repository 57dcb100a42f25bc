"""Learning to see in the dark: from RAW files to trained models and their comparison.

The modules follow the data: catalog, raw, preprocess, dataset, models (with losses), training, evaluation,
human_check (with captures, view, stage, votes). `baselines` and `study` compare what was trained with what needs no
training, `sample` and `camera` make the embedded data set, `plots` draws, `paths` knows where things lie.
"""
