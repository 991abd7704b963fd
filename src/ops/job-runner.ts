/**
 * Runs one job from wherever the log says it is to its end: each op in turn, rolled back when it fails or is canceled
 * before its point of no return. Used for a job that starts now and for one that an earlier leader had begun.
 *
 * Costs two entries for a job whose op records nothing: begin (job and op) and end (op and job).
 */
import type { Command } from '../config/commands.ts';
import { jobKey } from '../config/keys.ts';
import type { Job, LockRequest, Step } from '../config/model.ts';
import { toPlain } from './args-hash.ts';
import { createOpRun, type OpRun } from './op-context.ts';
import {
  CommandRefused,
  EngineStopped,
  type Failure,
  failureOf,
  OpCanceled,
  ReplayMismatch,
} from './op-result.ts';
import type { Session } from './session.ts';
import { type Opcode, OpError } from './types.ts';
import { rollBack, rollbackInLog } from './undo.ts';

export interface JobRunner {
  /** Resolves when the job has ended, or is no longer there. Rejects with {@link EngineStopped} only. */
  readonly ended: Promise<void>;
  /** Looks at the job again: cancellation. */
  wake(): void;
}

export interface JobPlan {
  readonly job: Job;
  readonly locks: readonly LockRequest[];
  /** The job must not run (bad parameters, unmet dependency): it is ended with this. */
  readonly reject: OpError | null;
}

type Ending = Failure | { readonly status: 'success'; readonly result: unknown };

export function isFinal(status: Job['status']): boolean {
  return status === 'success' || status === 'error' || status === 'canceled';
}

export function hasStarted(job: Job): boolean {
  return job.status === 'running' || job.status === 'canceling' || job.start_timestamp !== null;
}

export function runJob(
  session: Session,
  opcodes: ReadonlyMap<string, Opcode<unknown>>,
  plan: JobPlan,
): JobRunner {
  const { ports } = session;
  const id = plan.job.id;
  let current: OpRun | null = null;

  const job = (): Job | undefined => ports.state.get('jobs', jobKey(id));
  const cancelRequested = (): boolean => job()?.cancel_requested ?? false;
  const wake = (): void => {
    if (cancelRequested()) current?.cancel();
  };

  const startOp = (op: number): Command => {
    const code = opcodes.get(plan.job.ops[op]!.input.OP_ID);
    return { type: 'op-start', time: ports.wall_s(), job: id, op, version: code?.version ?? 1 };
  };

  async function batch(commands: readonly Command[]): Promise<void> {
    await session.propose(
      commands.length === 1 ? commands[0]! : { type: 'batch', time: ports.wall_s(), commands },
    );
  }

  async function runOp(op: number, recorded: readonly Step[], version: number): Promise<Ending> {
    const run = createOpRun(session, id, op, recorded);
    const begun = rollbackInLog(run.records);
    let failure: Failure;
    if (begun) failure = begun;
    else {
      current = run;
      wake();
      try {
        if (plan.reject) throw plan.reject;
        const result = await runOpcode(run, op, version);
        await run.settle();
        return { status: 'success', result };
      } catch (error) {
        if (error instanceof EngineStopped || !session.live) throw new EngineStopped();
        if (!(error instanceof OpError || error instanceof OpCanceled)) {
          ports.log('error', `job ${id} op ${op}: ${error instanceof Error ? error.stack : String(error)}`);
        }
        failure = failureOf(error);
        await session.wait(run.settle());
      } finally {
        current = null;
      }
    }
    if (!run.past_no_return) await rollBack(session, id, op, run.records, failure);
    return failure;
  }

  async function runOpcode(run: OpRun, op: number, version: number): Promise<unknown> {
    const { input } = plan.job.ops[op]!;
    const opcode = opcodes.get(input.OP_ID);
    if (!opcode) throw new OpError('OpPrereqError', `unknown opcode ${input.OP_ID}`, 'wrong_input');
    if (version !== 0 && version !== opcode.version) {
      throw new ReplayMismatch(
        `${input.OP_ID} was begun by version ${version} of its code; this is version ${opcode.version}`,
      );
    }
    const result = toPlain(await opcode.run(run.context, opcode.parse(input)));
    if (!run.replayedAll())
      throw new ReplayMismatch(`replay of job ${id} op ${op} ended before the steps that the log has`);
    return result;
  }

  async function run(): Promise<void> {
    const found = job();
    if (!found || isFinal(found.status)) return;
    const started = hasStarted(found);
    let op = found.ops.findIndex((each) => !isFinal(each.status));
    if (op < 0) {
      await batch([{ type: 'job-end', time: ports.wall_s(), job: id, status: statusOfEnded(found) }]);
      return;
    }
    let version = 0;
    if (started && found.ops[op]!.status !== 'queued' && found.ops[op]!.status !== 'waiting')
      version = found.ops[op]!.version;
    else {
      const begin: Command[] = started
        ? []
        : [{ type: 'job-start', time: ports.wall_s(), job: id, locks: plan.locks }];
      await batch([...begin, startOp(op)]);
    }
    let recorded = started
      ? ports.state.list('steps').filter((step) => step.job === id && step.op === op)
      : [];
    for (;;) {
      const ending = await runOp(op, recorded, version);
      const time = ports.wall_s();
      const end_op: Command = {
        type: 'op-end',
        time,
        job: id,
        op,
        status: ending.status,
        result: ending.result,
      };
      const last = op + 1 >= found.ops.length;
      if (ending.status !== 'success' || last || cancelRequested()) {
        const status = ending.status === 'success' && !last ? 'canceled' : ending.status;
        await batch([end_op, { type: 'job-end', time, job: id, status }]);
        return;
      }
      op++;
      version = 0;
      recorded = [];
      await batch([end_op, startOp(op)]);
    }
  }

  async function runToEnd(): Promise<void> {
    try {
      await run();
    } catch (error) {
      if (error instanceof EngineStopped) throw error;
      const now = job();
      // Canceled before it began, or the cluster that it belonged to is gone: it has ended already.
      if (error instanceof CommandRefused && (!now || isFinal(now.status))) return;
      // A state that refuses a running job's own bookkeeping is a broken invariant; going on would repeat it for ever.
      ports.log('error', `job ${id} cannot go on: ${error instanceof Error ? error.stack : String(error)}`);
      await giveUp(session, id, error);
    }
  }

  return { ended: runToEnd(), wake };
}

function statusOfEnded(job: Job): 'success' | 'error' | 'canceled' {
  if (job.ops.some((op) => op.status === 'error')) return 'error';
  return job.ops.some((op) => op.status === 'canceled') ? 'canceled' : 'success';
}

async function giveUp(session: Session, job: number, error: unknown): Promise<void> {
  try {
    await session.propose({ type: 'job-end', time: session.ports.wall_s(), job, status: 'error' });
  } catch (refused) {
    if (!(refused instanceof CommandRefused)) throw refused;
    session.ports.log('error', `job ${job} cannot be ended either: ${refused.message}`, {
      because: String(error),
    });
  }
}
