/** Progress on stderr: a line that is redrawn on a terminal, a JSON line with --json, nothing otherwise. */
export interface Progress {
  /** `total` 0 = not known. */
  update(done: number, total?: number): void;
  end(): void;
}

const REDRAW_MS = 100;
const JSON_LINE_MS = 1000;

export function openProgress(what: string, json: boolean): Progress {
  const draws = process.stderr.isTTY && !json;
  const interval = json ? JSON_LINE_MS : REDRAW_MS;
  const started = performance.now();
  let drawn = started - interval;
  return {
    update(done, total = 0) {
      const now = performance.now();
      if ((!draws && !json) || now - drawn < interval) return;
      drawn = now;
      const seconds = (now - started) / 1000;
      if (json) process.stderr.write(`${JSON.stringify({ progress: what, done, total, seconds })}\n`);
      else process.stderr.write(`\r\x1b[K${what} ${done}${total > 0 ? `/${total}` : ''}  ${seconds.toFixed(1)} s`);
    },
    end() {
      if (draws) process.stderr.write('\r\x1b[K');
    },
  };
}
