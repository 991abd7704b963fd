/**
 * The one table from error codes to exit statuses and advice. Statuses are Ganeti's where it has one: 1 failure,
 * 2 usage, 5 no cluster, 11 no master to be found, 13 declined, 14 unknown field.
 */
import type { ApiError } from '../src/node/api-types.ts';

export const exit_status = {
  ok: 0,
  failure: 1,
  usage: 2,
  no_cluster: 5,
  no_master: 11,
  declined: 13,
  unknown_field: 14,
} as const;

export type ExitStatus = (typeof exit_status)[keyof typeof exit_status];

/** What ends a command: one line what was wrong, one line what to try, and the exit status. */
export class CliError extends Error {
  readonly next: string;
  readonly exit: ExitStatus;
  constructor(message: string, next: string, exit: ExitStatus = exit_status.failure) {
    super(message);
    this.name = 'CliError';
    this.next = next;
    this.exit = exit;
  }
}

/** A mistake in what was typed. */
export function usageError(message: string, next: string): CliError {
  return new CliError(message, next, exit_status.usage);
}

/** Exit status of an API error's code. */
export function exitOfCode(code: ApiError['code']): ExitStatus {
  switch (code) {
    case 'invalid':
      return exit_status.usage;
    case 'no-cluster':
      return exit_status.no_cluster;
    case 'no-quorum':
      return exit_status.no_master;
    case 'not-found':
    case 'exists':
    case 'refused':
    case 'timeout':
    case 'unavailable':
    case 'internal':
    case 'unknown-outcome':
      return exit_status.failure;
  }
}

/** What to try when an agent gives no advice of its own. */
export function adviceOfCode(code: ApiError['code']): string {
  switch (code) {
    case 'no-cluster':
      return 'skein cluster init NAME, or skein join TOKEN';
    case 'no-quorum':
      return 'the same with --stale to read what this node has, or skein status to see who is missing';
    case 'invalid':
      return 'the same command with --help';
    case 'not-found':
      return 'the matching list command, e.g. skein instance list';
    case 'exists':
    case 'refused':
      return 'skein status, or the matching info command';
    case 'timeout':
    case 'unavailable':
    case 'unknown-outcome':
    case 'internal':
      return 'skein status, and the agent’s log';
  }
}
