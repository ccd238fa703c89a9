import { WinnowError } from '../errors.js';
import type { Protocol, RankingInstance } from '../types.js';

/**
 * Calls a method of a protocol, which may be a user's own. What it throws comes back as ERR_PROTOCOL_STEP that names protocol,
 * method and instance; a WinnowError, which says as much by itself, as it is.
 */
export function guarded<Result>(
  { name }: Pick<Protocol<never>, 'name'>,
  method: string,
  { id }: Pick<RankingInstance, 'id'>,
  call: () => Result,
): Result {
  try {
    return call();
  } catch (cause) {
    if (cause instanceof WinnowError) throw cause;
    throw new WinnowError('ERR_PROTOCOL_STEP', `${method} of protocol ${name} failed on instance ${id}`, {
      received: cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause),
      hint: 'a malformed completion is an answer with a reason; only a defect is thrown',
      cause,
    });
  }
}
