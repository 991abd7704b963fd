/**
 * A place to die, for tests: ends the agent's process by SIGKILL at the n-th log entry of a job, so that a test can
 * kill a leader in every step of a job without racing it. Exists only in agents started with SKEIN_TEST=1, and does
 * nothing until it is armed through the API (`test.crash`); once per process. It must never change what is proposed.
 */
import type { Command } from '../config/commands.ts';

/**
 * `before`: what the entry would record has happened, the entry has not. `during`: the entry is on its way, its fate
 * is up to the race. `after`: it is committed and applied, and nobody was told.
 */
export type CrashMoment = 'before' | 'during' | 'after';

export interface CrashOrder {
  readonly job: number;
  /** Counts the job's entries that this process proposes, from 0. null: only count. */
  readonly entry: number | null;
  readonly moment: CrashMoment;
}

export interface CrashPoint {
  /** Replaces an earlier order and counts from 0 again. */
  arm(order: CrashOrder): void;
  /** Entries of the ordered job, as `type name`, since it was armed. */
  seen(): readonly string[];
  wrap<T>(propose: (command: Command) => Promise<T>): (command: Command) => Promise<T>;
}

interface JobEntry {
  readonly job: number;
  readonly label: string;
}

/** What a command does for which job; null for everything but the job engine's own entries. */
function jobEntry(command: Command): JobEntry | null {
  switch (command.type) {
    case 'job-start':
    case 'job-end':
    case 'op-start':
    case 'op-log':
    case 'op-end':
      return { job: command.job, label: command.type };
    case 'step-begin':
      return { job: command.step.job, label: `step-begin ${command.step.name}` };
    case 'step-end':
      return {
        job: command.job,
        label: `step-end ${command.begin?.name ?? command.step} ${command.status}`,
      };
    case 'batch': {
      const entries = command.commands.map(jobEntry).filter((entry) => entry !== null);
      const [first] = entries;
      return first ? { job: first.job, label: entries.map(({ label }) => label).join('+') } : null;
    }
    default:
      return null;
  }
}

/** Less than a synced write and an answer take. */
const during_ms = 1;

/** @param die ends the process at once; nothing of this process runs afterwards. */
export function createCrashPoint(
  after: (delay_ms: number, fn: () => void) => unknown,
  die: () => void,
): CrashPoint {
  let order: CrashOrder | null = null;
  let labels: string[] = [];
  return {
    arm(next) {
      order = next;
      labels = [];
    },
    seen: () => labels,
    wrap: (propose) => async (command) => {
      const entry = jobEntry(command);
      if (order === null || entry?.job !== order.job) return propose(command);
      const due = labels.length === order.entry;
      labels.push(entry.label);
      if (!due) return propose(command);
      if (order.moment === 'before') die();
      const proposed = propose(command);
      if (order.moment === 'during') {
        after(during_ms, die);
        return proposed;
      }
      const result = await proposed;
      die();
      return result;
    },
  };
}
