"""The peers written in Python: `main.py --list`, or `main.py PEER BENCHMARK` with a request on stdin."""

import sys

from request import EXIT_NOT_DONE, answer, list_benchmarks

TRANSFORMERS = ("torch", "transformers")
TRL = ("torch", "transformers", "trl")


def measures():
    """{peer: ({benchmark: measure}, packages)}; the modules import PyTorch only when they measure."""
    from transformers_decode import measure_decode
    from transformers_exclusion import measure_exclusion
    from transformers_prefill import measure_prefill
    from transformers_train import measure_train
    from trl_grpo import measure_grpo

    transformers = dict(
        prefill=measure_prefill, decode=measure_decode, train=measure_train, exclusion=measure_exclusion
    )
    return {"transformers": (transformers, TRANSFORMERS), "trl": (dict(grpo=measure_grpo), TRL)}


def main():
    peers = measures()
    if sys.argv[1:] == ["--list"]:
        for peer, (benchmarks, packages) in peers.items():
            list_benchmarks(peer, benchmarks, packages)
        return
    peer, benchmark = sys.argv[1:]
    benchmarks, packages = peers[peer]
    if benchmark not in benchmarks:
        print(f"{peer} does not do {benchmark}: it does {', '.join(benchmarks)}", file=sys.stderr)
        sys.exit(EXIT_NOT_DONE)
    answer(benchmarks[benchmark], packages)


if __name__ == "__main__":
    main()
