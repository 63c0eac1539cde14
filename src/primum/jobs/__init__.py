"""Training and scoring in processes of their own: on this machine by a launcher, on another one over SSH.

A job is a folder with what is to be done; the process that does it leaves the result there and says how far it
is on its standard output. Its standard input is its lifeline: when the other end goes, so does the process.
"""
