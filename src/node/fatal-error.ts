/**
 * With which status an agent ends after a failure that it cannot live with: the keeper treats a full disk, which ends
 * some day, other than a broken one, which does not. Pure. The keeper's side is keeper/restart-policy.ts.
 */
import { disk_full_status, fatal_status } from './keeper/restart-policy.ts';

const full_codes: readonly unknown[] = ['ENOSPC', 'EDQUOT'];
/** LevelDB hands on the system's words without its code. */
const full_words = /\b(ENOSPC|EDQUOT)\b|No space left on device|Disk quota exceeded/;
/** Chains of causes are short; a circle must not hold us. */
const longest_chain = 8;

/** Whether a full disk, or a used-up quota, is behind `error`: it or one of its causes says so. */
export function isDiskFull(error: unknown): boolean {
  let at: unknown = error;
  for (let depth = 0; depth < longest_chain && at instanceof Error; depth += 1) {
    if ('code' in at && full_codes.includes(at.code)) return true;
    if (full_words.test(at.message)) return true;
    at = at.cause;
  }
  return false;
}

/** The status for `env.fatal`. */
export function fatalStatus(cause: unknown): number {
  return isDiskFull(cause) ? disk_full_status : fatal_status;
}
