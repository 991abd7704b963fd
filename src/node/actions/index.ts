/**
 * The node's side of a step: what is checked before it acts, that it acts once per key, and that an act whose step is
 * over ends.
 *
 * A call carries its key, the leader's term and the index of its *step begun* entry. The node first applies to there,
 * then checks that this very step is still open, that the caller's term is not superseded, and, for a verb that writes
 * disks or starts guests, that its own lease lives; so a call that was delayed on the way finds nothing to do.
 *
 * An act belongs to its step in the log, not to the call that began it: a caller that goes away (a leader that died or
 * lost the lead) ends nothing, because the next leader joins the same act. It is ended when the log says that its step
 * is over, when its op is being undone here, and, if it writes disks, when the lease has run out.
 */
import { cluster_key, stepKey } from '../../config/keys.ts';
import { DriverError } from '../../drivers/types.ts';
import type { Progress, StepKey, VerbName } from '../../ops/types.ts';
import type { Journal, Outcome, Undo } from '../journal.ts';
import { createDisk, removeDisk } from './disk.ts';
import { cleanupInstance, createOs, resetInstance, startInstance, stopInstance } from './instance.ts';
import { checkNode, delay, verifyNode } from './node.ts';
import { powerCycleNode, rebootNode } from './power.ts';
import { createRunningActs } from './running-acts.ts';
import type { ActionContext, Actions, ActionWorld } from './types.ts';

const actions: Actions = {
  'disk.create': createDisk,
  'disk.remove': removeDisk,
  'os.create': createOs,
  'instance.start': startInstance,
  'instance.stop': stopInstance,
  'instance.reset': resetInstance,
  'instance.cleanup': cleanupInstance,
  'node.check': checkNode,
  'node.verify': verifyNode,
  'node.reboot': rebootNode,
  'node.power-cycle': powerCycleNode,
  'test.delay': delay,
};

/** Verbs that make something run or be written that another node may be given: only under a live lease. */
const needs_lease: ReadonlySet<VerbName> = new Set(['disk.create', 'os.create', 'instance.start']);
/** Verbs whose programs go on writing for as long as they run. */
const writers: ReadonlySet<VerbName> = new Set(['os.create']);

export interface StepCall {
  readonly key: StepKey;
  readonly term: number;
  readonly index: number;
  readonly verb: VerbName;
  readonly args: unknown;
}

/** Thrown when there is nothing to do for this call; `code` travels to the caller. */
export class StepRefused extends Error {
  readonly code = 'refused';
}

export interface StepServer {
  /** Resolves with the verb's result; rejects with code `failed` (the driver's words) or `refused`. */
  serve(call: StepCall, onProgress: (progress: Progress) => void): Promise<unknown>;
  /** Entries were applied: acts whose step is over are ended. */
  wake(): void;
  /** The lease has run out: programs that write disks are ended. */
  leaseLost(): void;
  /** This host leaves the cluster: everything is ended and nothing begun any more. Resolves when nothing runs. */
  close(reason: string): Promise<void>;
}

export interface StepServerDeps {
  readonly world: ActionWorld;
  readonly journal: Journal;
  /** The highest term this replica knows. */
  term(): number;
  waitApplied(index: number, timeout_ms: number): Promise<void>;
  /** Called when a step has ended: live data changed. */
  acted(): void;
}

export class StepFailed extends Error {
  readonly code = 'failed';
}

/** Longest wait for the own replica to reach a call's index. */
const catch_up_timeout_ms = 30_000;
/** Longest wait of an undo for the acts it ends; the caller tries again after it. */
const end_timeout_ms = 15_000;

export function createStepServer(deps: StepServerDeps): StepServer {
  const { world, journal } = deps;
  const acts = createRunningActs(world.env.after);
  let closed: string | null = null;

  /** Why this call has nothing to do here; null: it has. */
  function refusal(call: StepCall): string | null {
    if (closed !== null) return closed;
    if (call.term < deps.term()) return `term ${call.term} is over, it is ${deps.term()}`;
    const { job, op, step } = call.key;
    const recorded = world.state.get('steps', stepKey(job, op, step));
    if (!recorded) return `job ${job} has no open step ${op}/${step}`;
    if (recorded.node !== world.node_uuid) return `step ${op}/${step} of job ${job} is for another node`;
    if (call.key.undo ? recorded.status === 'undone' : recorded.status !== 'open')
      return `step ${op}/${step} of job ${job} is ${recorded.status}`;
    const verb = call.key.undo ? recorded.undo?.verb : recorded.verb;
    if (verb !== call.verb) return `step ${op}/${step} of job ${job} is ${verb}, the call says ${call.verb}`;
    if (!needs_lease.has(call.verb) || acts.has(call.key)) return null;
    const no_lease = world.mayStart();
    return no_lease === null ? null : `${call.verb} needs a lease: ${no_lease}`;
  }

  function check(call: StepCall): void {
    const reason = refusal(call);
    if (reason !== null) throw new StepRefused(reason);
  }

  /** Kept with the key: when the job has ended the log has it no more. */
  function undoOf({ job, op, step, undo }: StepKey): Undo | undefined {
    const recorded = world.state.get('steps', stepKey(job, op, step));
    const generation = world.state.get('cluster', cluster_key)?.generation;
    if (undo || !recorded?.undo || generation === undefined) return undefined;
    return { ...recorded.undo, generation };
  }

  async function act(call: StepCall, ctx: ActionContext): Promise<Outcome> {
    try {
      // Its key was written, which may have taken long; the outcome is kept, so only what stays true is asked again.
      if (ctx.signal.aborted) return { ok: false, message: String(ctx.signal.reason) };
      const action = actions[call.verb] as (w: ActionWorld, a: unknown, c: ActionContext) => Promise<unknown>;
      return { ok: true, value: (await action(world, call.args, ctx)) ?? null };
    } catch (error) {
      const hint = error instanceof DriverError && error.hint !== '' ? ` (${error.hint})` : '';
      const why = ctx.signal.aborted ? `${String(ctx.signal.reason)}: ` : '';
      return { ok: false, message: `${why}${(error as Error).message}${hint}` };
    } finally {
      deps.acted();
    }
  }

  /** Nothing of an op may still be at work on this node when it is undone here. */
  async function endForwardActs(key: StepKey): Promise<void> {
    const left = await acts.end(
      (running) => running.job === key.job && running.op === key.op && !running.undo,
      'its op is being undone',
      end_timeout_ms,
    );
    if (left > 0)
      throw new StepRefused(`${left} acts of job ${key.job} op ${key.op} have not ended yet on this node`);
  }

  return {
    async serve(call, onProgress) {
      await deps.waitApplied(call.index, catch_up_timeout_ms);
      check(call);
      if (call.key.undo) {
        await endForwardActs(call.key);
        check(call);
      }
      // No wait between the check and here: an undo that comes later finds the act among the running ones.
      const outcome = await acts.join(call.key, call.verb, onProgress, (ctx) =>
        journal.once(call.key, call.verb, () => act(call, ctx), undoOf(call.key)),
      );
      if (!outcome.ok) throw new StepFailed(outcome.message);
      return outcome.value;
    },
    wake() {
      acts.abort((key) => {
        if (key.undo) return null;
        const recorded = world.state.get('steps', stepKey(key.job, key.op, key.step));
        return recorded?.status === 'open' ? null : `its step is ${recorded?.status ?? 'gone'}`;
      });
    },
    leaseLost() {
      acts.abort((_key, verb) => (writers.has(verb) ? 'this node lost its lease' : null));
    },
    async close(reason) {
      closed = reason;
      await acts.end(() => true, reason, end_timeout_ms);
    },
  };
}
