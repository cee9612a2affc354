"""Recover what dead processes left in a store; say "begins" before and "done" after.

python recovers.py STORE
"""

import sys

import mlfoundry

client = mlfoundry.get_client(sys.argv[1], user="ann")
print("begins", flush=True)
left = client.sync(timeout_s=60)
print("done", left, flush=True)
