"""Faults made on purpose, in a tiny experiment: ``make faults``, or ``make faults ARGS="kills damage"``.

kills           processes are killed at random times, and the same command is called again
damage          stored files are changed, cut, emptied and removed, and every stage that reads them is run
remedies        what is said of damaged files is done
configurations  configurations with a mistake
environment     a full or read-only disk, little memory, signals, closed pipes
equality        other cores, hash seeds, locales, folders and shards
names           folders, files, classes and modules whose names are commands

experiment      the tiny experiment, and the digests of its results
own             an experiment of a user's own, whose names can be chosen
processes       commands of a user: started, timed, killed
stages          jobs of the workflow, run in a fork of a process that has loaded their modules
bench           copies of experiments in which files are damaged and jobs run
files           kinds of stored files, and what can happen to them
readers         readers of results that are no jobs
mistakes        configurations with a mistake
verdicts        what a command may say when it fails
campaign        what the subjects share; counts, faults and the tables of docs/reliability.md
"""
