/**
 * Puts a received snapshot in the place of state machine and log. First the state machine, durably, then the log: after
 * a crash in between the log is behind the image, which the next start sees and sets right (replica-start.ts). The other
 * way round there would be a hole. The caller keeps the core still while the log is replaced.
 */
import type { ApplyQueue } from './apply-queue.ts';
import type { Compactor } from './compactor.ts';
import type { Core } from './core-api.ts';
import type { LogPipeline } from './log-pipeline.ts';
import type { LogStore, ReplicaEnv, SnapshotMeta, StateMachine } from './types.ts';

export interface InstallerDeps {
  readonly machine: StateMachine;
  readonly log: LogStore;
  readonly env: ReplicaEnv;
  readonly core: Core;
  readonly pipeline: LogPipeline;
  readonly apply: ApplyQueue;
  readonly compactor: Compactor;
  /** Keeps the core still until `work` is done. */
  readonly hold: (work: Promise<void>) => Promise<void>;
  readonly closed: () => boolean;
  readonly installed: (meta: SnapshotMeta) => void;
}

/** Resolves to false when the state machine refused it and nothing changed. */
export async function installSnapshot(
  deps: InstallerDeps,
  meta: SnapshotMeta,
  chunks: AsyncIterable<Uint8Array>,
): Promise<boolean> {
  const { machine, env, apply, compactor, closed } = deps;
  apply.pause();
  try {
    await compactor.idle();
    if (closed() || meta.index <= apply.index) return true;
    try {
      await machine.restore(meta, chunks);
    } catch (error) {
      // A failed disk is no bad snapshot: another try would be a second sync after one that failed.
      if (error instanceof Error && 'code' in error) throw error;
      env.log('error', 'the snapshot was refused by the state machine', {
        index: meta.index,
        error: String(error),
      });
      return false;
    }
    if (!closed()) await deps.hold(replaceLog(deps, meta));
    return true;
  } finally {
    apply.resume(apply.index, apply.term);
  }
}

async function replaceLog(deps: InstallerDeps, meta: SnapshotMeta): Promise<void> {
  const { core, pipeline, log, apply, compactor } = deps;
  await pipeline.idle();
  if (deps.closed()) return;
  apply.resume(meta.index, meta.term);
  compactor.restored(meta);
  // If the log reached it meanwhile, it stays: the entries are the same, and those up to here are passed over.
  if (core.status().commit < meta.index) {
    const { term, vote } = pipeline.hard_state;
    await log.reset(meta, { term, vote, commit: meta.index });
    if (deps.closed()) return;
    core.installed(meta);
  }
  deps.installed(meta);
}
