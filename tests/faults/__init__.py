"""Faults made on purpose, in a tiny experiment: ``make faults``, or ``make faults ARGS="kills damage"``.

kills           processes are killed at random times, and the same command is called again
damage          stored files are changed, cut, emptied and removed, and every stage that reads them is run
configurations  configurations with a mistake
environment     a full or read-only disk, little memory, signals, closed pipes
equality        other cores, hash seeds, locales, folders and shards
names           folders, files, classes and modules whose names are commands

experiment      the tiny experiment, and the digests of its results
processes       commands of a user: started, timed, killed
stages          jobs of the workflow, run in a fork of a process that has loaded their modules
verdicts        what a command may say when it fails
campaign        what the subjects share; counts, faults and the tables of docs/reliability.md
"""
