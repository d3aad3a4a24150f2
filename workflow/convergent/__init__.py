"""Convergent learning: do different neural networks learn the same features?

A module with a ``main`` is a stage: one rule runs it, and ``python -m workflow.convergent.<folder>.<module> --help``
describes it. All others are what stages share. The map follows the data.

images
    build           the image store of a data set: pixels, labels, groups
    datasets        data sets: crops of photographs, folders of classes, torchvision's
    parts           an image store that is built in parts, in parallel, and resumed
    workers         processes that decode
    listing         which files below a folder are images and which are left out; a digest of names, sizes and times
    names           which file each stored image was made from
    groups          which images were made from one photograph
    decoding        image files to RGB pixels
nets
    building        the torch module of an architecture, and the memory layout in which it runs
    model           any net with its preprocessing: from stored pixels to logits; weights on disk
    alexnet         the preset architecture
    strided         a convolution with a stride, over blocks of pixels on CUDA
    architecture    what follows from the preset's settings alone, without torch
    batching        how many images pass through nets at once
    device          the GPU or CPU, determinism, loading ahead of the computation
    probe           every net as it will run, before anything is trained
    describe        the modules of a net that can be a layer
    deferred        a module that is loaded when one of its functions is called
    own             the code of a user's own that makes a net, and its errors
    claims          which GPU a process has to itself
    hooks           what modules return in a forward pass, seen or replaced
    shapes          which axes of a module's output hold units and positions
    activations     activations of chosen layers of several nets, on one grid of positions
    culprits        images that make a net put out what is not finite
    train           one net from its seed
    crops           random crops of training images, onto a device
    compiling       the forward pass of a training step, compiled on CUDA
    optimisation    settings of training, learning rate, optimiser
    checkpoints     the state of an interrupted training
    names           names of nets, also before their training and in figures
    snapshots       weights that a training keeps at some of its steps
    untrained       a net before its first step, the untrained twin of a trained net; mappings from it are controls
    given           a net with weights of the user's own, or of torchvision's
    weights         files of weights: of torch, of safetensors, of this workflow
    restricted      tensors from a pickle of which nothing is executed
    naming          names that weights may have in a net
    fitting         the net that weights are of, by trial
    published       weights that torchvision publishes, without torchvision
    filters         first-layer filters as arrays
moments
    accumulate      one pass over the images: count, means and co-moments of all units, block by block
    blocks          what a block is, which blocks a layer keeps, and the order in which they are added
    comoments       means and co-moments of one block, from batches of activations
    positions       means of each position of one block, likewise
    merge           shards of a layer to one store with its total
    covariance      covariances of any pair of nets over any weighted blocks
alignment (paper, section 3.1: one to one)
    correlation     Pearson correlation of the units of every pair of nets
    counters        in how many samples units exceed the edges of their bins, on the CPU or on CUDA
    histograms      joint histograms of the units of two nets
    sampling        samples of a layer: the bins of its units, and chunks of samples to count
    information     mutual information of the units of two nets
    matching        greedy and assigned partners, and how far they agree
    rotation        random rotations of a net's units
    agreement       how far mutual information and correlation agree
evidence (beyond the paper: what training made alike, and how sure that is)
    compare         all numbers of every pair of nets in a layer, trained and untrained, and without each block
    crossfit        similarity on photographs that did not choose the partner, from block moments
    turning         moments of two nets on random rotations of one net's axes, in float32, on the CPU or on CUDA
    pairs           numbers of a pair of nets: cross-fitted, on the same images, on rotated axes, in excess of these
    floors          what the layout of images and photographs that do not belong together give
    inference       intervals over photographs and nets
    partners        shares of greedy partners: equal in both halves of the photographs, of the same class
    directions      p of a unit's best similarity among random directions of the other net
    regression      held-out R2 of linear mappings, from moments of blocks
    units           what can be said of a unit: partner, group, influence of one photograph, stability, verdict
    measures        CKA, Procrustes, ridge R2, soft matching of whole layers; sorted means
    summary         stored numbers as rows with intervals
    tabulate        tables of units and of measures
    scorecard       claims, each with its contrast, interval and verdict
    training        the same at steps of the training, all on the same blocks
stitching (paper, section 3.2: one to few)
    mappings        stored sparse mappings and the scale that units are standardised with
    standardised    moments between standardised units: loss and R2 of a mapping, on all blocks and without each
    lasso           the whole L1 path, exactly, from Gram matrices
    replay          the published optimiser, replayed on moments
    fit             sparse mappings of all ordered pairs
    assembly        which stitched nets there are, and mappings as modules between two nets
    stitched        images of each block that nets joined by a mapping get right
    summary         top-1 accuracies and what few weights explain, over ordered pairs of nets, with intervals
clustering (paper, section 3.3: many to many)
    hierarchy       average linkage of a mapping's weights
    graphs          spectral clustering of a weighted graph
    subspaces       canonical correlations and principal angles between the spans of two sets of units
    stability       how stable clusters are under resampled photographs
    spectral        spectral clusters of both nets' units, with spans and stability, beside rotated axes
patches
    search          the images that excite each unit most
    receptive       which pixels a unit sees
    deconvolution   what of these pixels it answers to
    pictures        patches and deconvolutions of all units as pictures
authors (the paper's own mappings, as far as they are public)
    runs            names and files of the runs in a clone of the authors' repository
    contents        their weights and losses
    pickles         the array of a pickle of which nothing is executed
    collect         the runs as stores of mappings
figures
    draw            figures as commands: their options from their signatures
    inputs          what the files of a figure say of themselves, and whether they fit together
    pictures        pictures of units
    comparisons     what matches are compared with: rotated axes and the paper's matches
    plots           arrays to panels
    penalties       panels of table 1
    words           what figures of the evidence say of their numbers
    matched         units of several nets that belong together
    sheets          first-layer filters of each net, and in columns of partners
    labels          names and titles where there is little room
    statistics, evidence, training, units, mapping, clusters, authors, overview    the families of figures
atlas (every unit in the browser)
    layer           one layer: its pictures, and its data as script files
    page            the page with its script and style sheet, and what its first view shows
    inputs          which files of a run a layer is made from, and whether they fit together
    digits          numbers, rounded once
    scripts         data as script files
    sheets          pictures of units as sprite sheets
    partners        partners in both directions, and groups over all nets
    described       numbers of units and of pairs of nets from the evidence
    mapped          sparse sources of units, and what units are sources of
    clusters        clusters of units, and their orders
    matrices        correlations as a picture that answers
shared
    api             results in Python
    experiment      the file of an experiment, read as what it says
    schema          what the schema says of a configuration: keys, kinds, defaults
    configuration   what follows from a configuration: layers of stages, settings of nets
    checks          what a configuration must fulfil beyond its schema
    photographs     how many images there are, before they are read
    memory          what a configuration needs of memory at the least
    allocation      memory that is freed is kept for what comes next
    kernels         functions that numba compiles, and their cache
    sources         which files a stage's result depends on
    tracked         digests of what a result depends on and no rule makes
    store           stores of arrays with what they are of and their digests
    chunks          an array on disk as files of some rows each, checked when they are read
    tables          CSV files with what they are of and their digests
    unpickling      functions that a pickle may call, and of which it can change nothing
    files           atomic writing, JSON with a checksum, how damage is refused
    commands        one line for whatever goes wrong, help
    seeds           random seeds by name

Glossary
    unit            a channel of a convolution, a neuron of a fully connected layer
    group           all images that are not independent of each other: the crops of one photograph
    block           a union of whole groups, drawn by seed; intervals resample blocks
    fine block      a block as it is computed
    kept block      a block as a layer keeps it: very wide layers, and snapshots, keep few, each a run of fine blocks
    node            consecutive fine blocks of one kept block, added up
    shard           the fine blocks that one job computes
    greedy          the most similar unit of the other net (the paper's semi-matching)
    assigned        the partner in the one-to-one matching of the largest total similarity (bipartite matching)
    overlap         share of units whose greedy and assigned partners are the same unit
    dead            a unit of constant activation: listed, without partner, an empty cell in tables
    control         what a number is compared with; a control net is a net before its training
    decay, alpha    L1 penalty of a mapping; alpha = decay times the number of target units, comparable across layers
    untrained twin  a trained net before its training; twins are compared with each other as the trained nets are
    rotated axes    a number after random rotations of one net's standardised units
    snapshot        weights of a net at a step of its training; nets are compared with others at the same step
    cross-fitted    measured on photographs that did not choose the partner
    matched         a unit that is mutually best and beats random directions of the other net (q <= .05)
    several         a unit that several units of the other net predict better than its partner does

Letters of shapes
    N images    U units    B blocks    S source units    T target units
    P points of an L1 path    K entries of a loss history    E inner edges of bins
"""

import os
import sys

if sys.argv[:1] == ["-m"]:  # Python is about to import a stage: what goes wrong there is one line as well
    from .commands import excepthook

    sys.excepthook = excepthook

# Idle threads of numpy's OpenBLAS spin for 30 ms after each product by default, and torch's for some; each takes the
# core from the other's: the moments pass takes half the time without. Read when the libraries load, therefore here.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "10")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

# Large tensors in huge pages, as numpy does by itself: first touches of memory cost a tenth. Read by torch.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
