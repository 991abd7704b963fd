/**
 * The node's memory of the steps it was asked to do: a key is on disk before the node acts, its outcome when it has
 * acted. A second call with the same key joins the first or gets its outcome; after a crash in between the act is done
 * again, which is safe because every verb is idempotent. Keys go when their job has ended in the applied state.
 */
import type { StepKey } from '../ops/types.ts';
import type { Records } from './host.ts';

export type Outcome =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly message: string };

/** How what a step makes would be taken back, in which generation of the cluster. */
export interface Undo {
  readonly verb: string;
  readonly args: unknown;
  readonly generation: number;
}

interface JournalRecord {
  readonly key: StepKey;
  readonly verb: string;
  readonly outcome: Outcome | null;
  /** Absent: there is nothing to take back. */
  readonly undo?: Undo;
}

export interface Journal {
  /** Runs `act` once per key, for ever. `act` must not reject for a reason that a retry of the same key should not see. */
  once(key: StepKey, verb: string, act: () => Promise<Outcome>, undo?: Undo): Promise<Outcome>;
  /** What steps of a job began here, whatever became of it, that can be taken back. */
  undos(job: number): readonly Undo[];
  /** Forgets the steps of a job that has ended. False, with nothing done, while one of them runs: ask again. */
  forget(job: number): Promise<boolean>;
  /** Jobs with keys here. */
  jobs(): readonly number[];
  running(): number;
}

const fileName = (key: StepKey) => `${key.job}.${key.op}.${key.step}${key.undo ? '.undo' : ''}.json`;

export async function openJournal(records: Records): Promise<Journal> {
  const done = new Map<string, Outcome>();
  const undos = new Map<string, Undo>();
  const running = new Map<string, Promise<Outcome>>();
  const by_job = new Map<number, Set<string>>();
  /** Removals under way: a key that comes again meanwhile must not lose its new file to them. */
  const forgetting = new Map<number, Promise<void>>();
  const remember = (key: StepKey) => {
    const names = by_job.get(key.job) ?? new Set();
    names.add(fileName(key));
    by_job.set(key.job, names);
  };
  for (const name of await records.list()) {
    if (!name.endsWith('.json')) {
      await records.remove(name);
      continue;
    }
    const record = (await records.read(name)) as JournalRecord;
    remember(record.key);
    if (record.outcome) done.set(name, record.outcome);
    if (record.undo) undos.set(name, record.undo);
  }

  async function run(
    name: string,
    key: StepKey,
    verb: string,
    act: () => Promise<Outcome>,
    undo: Undo | undefined,
  ): Promise<Outcome> {
    await forgetting.get(key.job);
    const record = { key, verb, ...(undo === undefined ? {} : { undo }) };
    await records.write(name, { ...record, outcome: null } satisfies JournalRecord);
    if (undo !== undefined) undos.set(name, undo);
    const outcome = await act();
    await records.write(name, { ...record, outcome } satisfies JournalRecord);
    done.set(name, outcome);
    return outcome;
  }

  async function removeFiles(names: ReadonlySet<string>): Promise<void> {
    for (const name of names) {
      done.delete(name);
      undos.delete(name);
      await records.remove(name);
    }
  }

  return {
    once(key, verb, act, undo) {
      const name = fileName(key);
      const finished = done.get(name);
      if (finished) return Promise.resolve(finished);
      const under_way = running.get(name);
      if (under_way) return under_way;
      remember(key);
      const promise = run(name, key, verb, act, undo).finally(() => running.delete(name));
      running.set(name, promise);
      return promise;
    },
    undos: (job) =>
      [...(by_job.get(job) ?? [])].map((name) => undos.get(name)).filter((undo) => undo !== undefined),
    async forget(job) {
      const names = by_job.get(job) ?? new Set<string>();
      for (const name of names) if (running.has(name)) return false;
      by_job.delete(job);
      const removal = removeFiles(names).finally(() => forgetting.delete(job));
      forgetting.set(job, removal);
      await removal;
      return true;
    },
    jobs: () => [...by_job.keys()],
    running: () => running.size,
  };
}
