"""Learning to see in the dark: from RAW files to trained models and their comparison.

A module imports from those above it:

paths        where data sets and results are; files written atomically, told from others, locked
backend      TensorFlow and Keras, imported without their noise
workers      share work among cores or the workers of a cluster
plots        every figure
camera       the simulated and calibrated camera, each step beside its inverse
brightness   how much brighter a dark capture has to become

catalog      which captures exist, and which short exposure belongs to which long one
rawfile      open a RAW file, or say why it cannot be read
raw          read, reduce and develop one RAW file
preprocess   every RAW file of a data set, once, to PNG
sources      what a network can see of a short exposure
dataset      developed pairs to a tf.data pipeline
models       the course's CNN, dense CNN and U-Net
losses       MAE, MSE and SSIM
experiment   what is varied in a training
training     trainings that can be interrupted and resumed
evaluation   predictions, scores and summaries

sample       the embedded data sets: photographs and drawn scenes as captures in the dark
beyond       what the course left open: other inputs, baselines, a better model, a study
full_size    a dark RAW file to a picture at full size
human_check  compare models with your own eyes: a panel, blind votes, a page
export       models as ONNX, for programs without Keras
report       run the notebooks, and keep them as pages
"""
