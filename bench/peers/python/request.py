"""One trial's request and reply: what every peer written in Python shares.

The request is one JSON object on stdin, the reply the last line on stdout. Whatever libraries print goes to stderr.
"""

import importlib.metadata
import json
import os
import resource
import sys

EXIT_NOT_DONE = 3

DTYPES = ("bf16", "f32")


class NotDone(Exception):
    """The peer does not do this benchmark, or not with this dtype."""


def read_request():
    """The request; threads are set here because OpenMP reads its environment when PyTorch is imported."""
    request = json.load(sys.stdin)
    if request["dtype"] not in DTYPES:
        raise NotDone(f"dtype {request['dtype']}: PyTorch peers run {' and '.join(DTYPES)}")
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(request["threads"])
    return request


def versions(*packages):
    return {name: importlib.metadata.version(name) for name in packages}


def list_benchmarks(peer, benchmarks, packages):
    """One line per benchmark; nothing where the packages are not installed."""
    try:
        found = versions(*packages)
    except importlib.metadata.PackageNotFoundError:
        return
    for benchmark in benchmarks:
        print(json.dumps(dict(peer=peer, benchmark=benchmark, dtypes=DTYPES, versions=found)))


def answer(measure, packages):
    """Runs `measure(request)`, which gives the fields of the reply, and prints the reply."""
    reply_to = os.dup(1)
    os.dup2(2, 1)
    try:
        fields = measure(read_request())
    except NotDone as reason:
        print(reason, file=sys.stderr)
        sys.exit(EXIT_NOT_DONE)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    line = json.dumps(dict(fields, peakResidentBytes=peak, versions=versions(*packages)))
    os.write(reply_to, f"{line}\n".encode())
