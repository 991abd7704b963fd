/**
 * What steps of a job left behind on this host. A job that is rolled back while this host is lost takes back nothing
 * here: once the applied state says that the job has ended, this host does it by itself, and then forgets the job's keys.
 *
 * It removes a disk only if a step of a job that is over began to make it here, and the state has neither the disk nor its
 * path. The disk was in the configuration before that step began, and no uuid is given twice: a disk that is not there
 * when its job has ended belongs to no instance and never will. The state must be of the generation of the cluster in
 * which the step was begun: a recovered one may lack instances that were there.
 */
import { z } from 'zod';
import type { StateView } from '../config/api.ts';
import { cluster_key, jobKey, meta_key } from '../config/keys.ts';
import { type Drivers, storageOf } from './drivers.ts';
import type { Journal, Undo } from './journal.ts';
import type { Env } from './real-env.ts';

export interface LeftoversDeps {
  readonly env: Pick<Env, 'after' | 'log' | 'fatal'>;
  readonly journal: Pick<Journal, 'jobs' | 'undos' | 'forget'>;
  readonly state: Pick<StateView, 'get' | 'list'>;
  readonly drivers: Pick<Drivers, 'storage'>;
}

export interface Leftovers {
  /** Entries were applied. */
  tidy(): void;
  stop(): void;
}

/** After a storage that could not be reached. */
const retry_ms = 30_000;
/** A step that runs on although its job is over; it may make now what was not there to be removed. */
const still_running_ms = 1_000;

const removal = z.object({
  template: z.string(),
  disk: z.object({
    uuid: z.string(),
    instance_name: z.string(),
    index: z.number(),
    size: z.number(),
    mode: z.enum(['rw', 'ro']),
    logical_id: z.array(z.union([z.string(), z.number()])),
  }),
});

export function createLeftovers({ env, journal, state, drivers }: LeftoversDeps): Leftovers {
  /** Jobs that are being tidied up after, or wait for another try. */
  const busy = new Set<number>();
  const cancels = new Map<number, () => void>();
  let stopped = false;

  function isOver(job: number): boolean {
    const recorded = state.get('jobs', jobKey(job));
    // After a start the log is replayed: a job that this replica has not heard of yet is not over.
    if (recorded) return recorded.end_timestamp !== null;
    return job < (state.get('meta', meta_key)?.next_job ?? 1);
  }

  async function takeBack({ verb, args, generation }: Undo): Promise<void> {
    if (verb !== 'disk.remove' || state.get('cluster', cluster_key)?.generation !== generation) return;
    const { template, disk } = removal.parse(args);
    const path = disk.logical_id[1];
    if (state.list('disks').some((known) => known.uuid === disk.uuid || known.logical_id[1] === path)) return;
    const driver = storageOf(drivers, template);
    if ((await driver.info(disk)).exists)
      env.log('warn', 'removing a disk that a job left here: it belongs to no instance', {
        disk: disk.uuid,
        path,
      });
    // Also when there is none: its making may have ended halfway.
    await driver.remove(disk);
  }

  async function tidyAfter(job: number): Promise<void> {
    try {
      for (const undo of journal.undos(job)) await takeBack(undo);
    } catch (error) {
      env.log('warn', 'what a job left here could not be removed', { job, error: (error as Error).message });
      again(job, retry_ms);
      return;
    }
    const gone = await journal
      .forget(job)
      .catch((error: Error) => env.fatal(`the step journal cannot be written: ${error.message}`, error));
    if (gone) busy.delete(job);
    else again(job, still_running_ms);
  }

  function again(job: number, delay_ms: number): void {
    if (stopped) return;
    const cancel = env.after(delay_ms, () => {
      cancels.delete(job);
      void tidyAfter(job);
    });
    cancels.set(job, cancel);
  }

  return {
    tidy() {
      if (stopped) return;
      for (const job of journal.jobs()) {
        if (busy.has(job) || !isOver(job)) continue;
        busy.add(job);
        void tidyAfter(job);
      }
    },
    stop() {
      stopped = true;
      for (const cancel of cancels.values()) cancel();
    },
  };
}
