"""Experiments: many fits as one queue of jobs, from a laptop's two cores to a cluster. See each module's text.

event_log  an append-only file of events under a lock: what happened to every job
states     the state of a job after each event
queue      the jobs: which worker runs which job, which are done, which must run again
heartbeat  which workers are alive, found without comparing clocks
worker     runs one job after the other until none is left
launchers  how workers are started: as local processes, with joblib, with Ray
slurm      the same as a SLURM job array
supervise  keeps workers running until every job is done, and prints the state of the sweep
origin     the weights with which a folder's results were made
bench      the fidelity benchmark as such jobs, and its tables
commands   what nerf2mesh-bench does beside running a sweep
"""
