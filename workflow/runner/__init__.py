"""What `make` runs: Snakemake with a lock, one progress and a table of numbers at the end.

run         the command: a plan, Snakemake, where results are
alone       one run at a time in a folder
disk        room on the disk: whether a run fits, whether jobs failed for lack of it
estimate    bytes of a run's large results, work of a training
machine     what a machine lacks, or has set for other programs, put right
child       Snakemake as a child process, its events and its jobs' lines
progress    how much is done, how long the rest takes
screen      what the user sees
numbers     the table at the end
clean       removes a run's results
logger      Snakemake's messages as events
"""
