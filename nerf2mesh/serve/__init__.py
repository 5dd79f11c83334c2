"""A server for other programs: pictures come in by HTTP, meshes go out. Needs the extra `serve` (FastAPI, uvicorn).

refused  a request that is not taken
limits   what a stranger may use up
allowed  which settings a request may name
pictures which pictures
asked    a request's picture and settings as a job
store    the jobs on the disk: a queue of the sweep room, the pictures, the results
crew     keeps workers running, stops jobs that are cancelled or take too long
work     one job: a run as the plain command makes it
gate     who may ask, and how large a request may be
app      the routes and what they answer
command  nerf2mesh-serve
"""
