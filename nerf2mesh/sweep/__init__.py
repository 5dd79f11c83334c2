"""Experiments: many fits as one queue of jobs, from a laptop's two cores to a cluster. See each module's text.

ledger     what happened, as lines that are only ever added, under a lock
states     where a job stands after each event
queue      the jobs: who runs what, what is done, what is to be done again
heartbeat  who is alive, without comparing clocks
worker     takes jobs, one after the other, until none is left
fleet      how workers come to be: local processes, joblib, Ray
slurm      the same as a SLURM job array
supervise  keeps a fleet going until every job is done, and says what happens
origin     with which weights a folder's results were made
bench      the fidelity benchmark as such jobs, and its tables
"""
