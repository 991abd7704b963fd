/**
 * Which instances have a job that has not ended, and when jobs on instances ended, on this leader's clock: what nodes
 * reported before that says nothing about them. Also sees a job that began and ended between two looks.
 */
import type { StateView } from '../../config/api.ts';
import type { Job } from '../../config/model.ts';

export interface JobWatch {
  /** Instances, by uuid, that a job works on or will. */
  busy(): ReadonlySet<string>;
  /** To be called before each decision: notes the ends since the last look. */
  look(now_ms: number): ReadonlyMap<string, number>;
}

const lock_prefix = 'instance/';

export function createJobWatch(state: Pick<StateView, 'index' | 'list' | 'get'>): JobWatch {
  const ended_at_ms = new Map<string, number>();
  let were_busy: ReadonlySet<string> = new Set();
  let highest_job = 0;
  let cached: { readonly index: number; readonly busy: ReadonlySet<string> } | null = null;

  function uuidsOf(job: Job, by_name: ReadonlyMap<string, string>): readonly string[] {
    const names = [
      ...job.locks.map(({ name }) =>
        name.startsWith(lock_prefix) ? name.slice(lock_prefix.length) : undefined,
      ),
      ...job.ops.map((op) => op.input['instance_name'] ?? op.input['instance_uuid']),
    ];
    return names.filter((name) => typeof name === 'string').map((name) => by_name.get(name) ?? name);
  }
  const byName = () => new Map(state.list('instances').map((instance) => [instance.name, instance.uuid]));

  function busy(): ReadonlySet<string> {
    if (cached?.index === state.index) return cached.busy;
    const running = state.list('jobs').filter((job) => job.end_timestamp === null);
    const by_name = running.length > 0 ? byName() : new Map<string, string>();
    const found = new Set(running.flatMap((job) => uuidsOf(job, by_name)));
    cached = { index: state.index, busy: found };
    return found;
  }

  let looked_index: number | null = null;
  function look(now_ms: number): ReadonlyMap<string, number> {
    if (looked_index === state.index) return ended_at_ms;
    looked_index = state.index;
    const are_busy = busy();
    for (const uuid of were_busy) if (!are_busy.has(uuid)) ended_at_ms.set(uuid, now_ms);
    const fresh = state.list('jobs').filter((job) => job.id > highest_job);
    const ended = fresh.filter((job) => job.end_timestamp !== null);
    const by_name = ended.length > 0 ? byName() : new Map<string, string>();
    for (const job of ended) for (const uuid of uuidsOf(job, by_name)) ended_at_ms.set(uuid, now_ms);
    for (const job of fresh) highest_job = Math.max(highest_job, job.id);
    for (const uuid of ended_at_ms.keys()) if (!state.get('instances', uuid)) ended_at_ms.delete(uuid);
    were_busy = are_busy;
    return ended_at_ms;
  }

  return { busy, look };
}
