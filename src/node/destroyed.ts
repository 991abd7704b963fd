/**
 * A cluster that was destroyed, as its last member sees it: the configuration is empty, but its counters are not. It is
 * told from the state alone, so that a host that dies on the way out finds it again when it has replayed its log.
 */
import type { StateView } from '../config/api.ts';
import { cluster_key, meta_key } from '../config/keys.ts';
import type { Job } from '../config/model.ts';

/** False for a host whose log has not arrived yet: nothing was counted there. */
export function isDestroyed(state: StateView): boolean {
  if (state.get('cluster', cluster_key)) return false;
  return (state.get('meta', meta_key)?.next_member ?? 1) > 1;
}

/**
 * How a job ended that went with its cluster; null: it was not the one that destroyed it, and nothing says how far it
 * came. The job has no entry of its end: the entry that would hold it is in no cluster.
 *
 * @param time in seconds
 */
export function endWithCluster(job: Job, time: number): Job | null {
  const at = job.ops.findIndex((op) => op.status !== 'success');
  if (job.ops[at]?.input.OP_ID !== 'OP_CLUSTER_DESTROY' || at !== job.ops.length - 1) return null;
  return {
    ...job,
    status: 'success',
    end_timestamp: time,
    ops: job.ops.map((op, index) => (index === at ? { ...op, status: 'success', end_timestamp: time } : op)),
  };
}
