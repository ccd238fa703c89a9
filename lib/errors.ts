/** Every failure is one sentence with a stable code, what was expected, what came, and a hint. */
export class WinnowError extends Error {
  override readonly name = 'WinnowError';
  readonly code: string;
  readonly expected: string | undefined;
  readonly received: string | undefined;
  readonly hint: string | undefined;

  constructor(
    code: string,
    message: string,
    details: { expected?: string; received?: string; hint?: string; cause?: unknown } = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.expected = details.expected;
    this.received = details.received;
    this.hint = details.hint;
  }

  /** `error[CODE]: what, expected X, received Y, hint` on one line. */
  toLine(): string {
    const parts = [this.message];
    if (this.expected) parts.push(`expected ${this.expected}`);
    if (this.received) parts.push(`received ${this.received}`);
    if (this.hint) parts.push(`hint: ${this.hint}`);
    return `error[${this.code}]: ${parts.join(', ')}`.replace(/\s*\n\s*/g, ' ');
  }
}
