"""What PyTorch's own product and copy reach on this device, for test/gpu/run.sh: one JSON record a line."""
import json

import torch


def median_seconds(run, repeats=20):
    for _ in range(3):
        run()
    times = []
    for _ in range(repeats):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        run()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) / 1e3)
    return sorted(times)[repeats // 2]


for m, n, k in [(1, 4864, 896), (64, 4864, 896), (1024, 4864, 896), (4096, 4864, 896), (4096, 896, 4864), (8192, 8192, 8192)]:
    x = torch.randn(m, k, device="cuda", dtype=torch.bfloat16)
    w = torch.randn(n, k, device="cuda", dtype=torch.bfloat16)
    seconds = median_seconds(lambda: x @ w.T)
    print(json.dumps({"name": f"torch bf16 M={m} N={n} K={k}", "seconds": seconds, "tflops": 2 * m * n * k / seconds / 1e12}))
data = torch.empty(1 << 30, device="cuda", dtype=torch.int8)
other = torch.empty_like(data)
seconds = median_seconds(lambda: other.copy_(data))
print(json.dumps({"name": "torch copy", "seconds": seconds, "gigabytes_per_second": 2 * data.numel() / seconds / 1e9}))
