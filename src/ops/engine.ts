/**
 * The job engine: on the established leader, for one term, takes every job of the log to its end.
 *
 * Guarantees: a job that an earlier leader had begun has its locks again before any other gets any; at most
 * `max_running_jobs` run, and beside them a few repairs and those that wait for jobs of their own; waiting jobs start in the order of the lock table. After `stop()` nothing is proposed.
 * It keeps nothing that a new leader could not rebuild from the state.
 *
 * If a proposal's outcome stays unknown although the lead does not change (a slow disk), the session ends all the
 * same; an empty entry is then proposed, with back-off, and once it is applied everything before it is decided, so a
 * new session can go on from the state.
 */
import { cluster_key, jobKey, meta_key } from '../config/keys.ts';
import type { Job, LockRequest } from '../config/model.ts';
import { checkOps, dependencyGate, jobLocks } from './job-gate.ts';
import { hasStarted, isFinal, type JobRunner, runJob } from './job-runner.ts';
import { createLockTable, type LockTable } from './locks.ts';
import { EngineStopped, failureOf } from './op-result.ts';
import { createSession, isRefusal, messageOf, type Session } from './session.ts';
import { type JobEngine, type JobProgress, type Opcode, OpError, type OpsPorts } from './types.ts';

/** Ganeti's default, where the cluster says nothing. */
const default_max_running = 20;
/** Repairs run beside the limit: work that waits for a lost node must not keep that node's guests from being saved. */
export const repair_slots = 8;
const settle_first_ms = 250;
const settle_most_ms = 30_000;

interface Waiting {
  readonly id: number;
  /** `queue`: in the lock table's queue. */
  place: 'depends' | 'queue';
  depends_on: number;
  priority: number;
  locks: readonly LockRequest[];
}

interface Duty {
  readonly session: Session;
  readonly locks: LockTable;
  readonly waiting: Map<number, Waiting>;
  readonly running: Map<number, JobRunner>;
  /** Those of the running that are repairs. */
  readonly repairs: Set<number>;
  /** Those of the running that wait for jobs of their own. */
  readonly parents: Set<number>;
  /** Jobs below this id are known. */
  next_job: number;
}

export function createJobEngine(ports: OpsPorts, opcodes: ReadonlyMap<string, Opcode<unknown>>): JobEngine {
  const handlers = new Set<(progress: JobProgress) => void>();
  let term = 0;
  let duty: Duty | null = null;
  /** The last session, until the fate of what it proposed is known. */
  let unsettled: Session | null = null;
  let wake_pending = false;
  let cancel_settling: (() => void) | null = null;

  function open(): void {
    const session = createSession(ports, {
      onProgress: (progress) => {
        for (const handler of handlers) handler(progress);
      },
      onHalt: (unknown, reason) => onHalt(session, unknown, reason),
    });
    const mine: Duty = {
      session,
      locks: createLockTable(),
      waiting: new Map(),
      running: new Map(),
      repairs: new Set(),
      parents: new Set(),
      next_job: 1,
    };
    duty = mine;
    mine.next_job = ports.state.get('meta', meta_key)?.next_job ?? 1;
    const unfinished = ports.state.list('jobs').filter((job) => !isFinal(job.status));
    const started = unfinished.filter(hasStarted);
    for (const job of started) mine.locks.retake(job.id, job.locks);
    for (const job of started) run(mine, job, job.locks, null);
    for (const job of unfinished) if (!hasStarted(job)) admit(mine, job.id);
    schedule(mine);
  }

  function onHalt(session: Session, outcome_unknown: boolean, reason: string): void {
    if (duty?.session !== session) return;
    ports.log('warn', `job engine of term ${term} stops: ${reason}`);
    duty = null;
    unsettled = session;
    if (outcome_unknown) settle(settle_first_ms);
    else settle(settle_most_ms / 10);
  }

  /** Finds out, by an entry of our own, that everything proposed before is decided; then goes on. */
  function settle(delay_ms: number): void {
    const of_term = term;
    const still = (): boolean => term === of_term && duty === null && of_term !== 0;
    cancel_settling = ports.after(delay_ms, () => {
      ports.propose({ type: 'batch', time: ports.wall_s(), commands: [] }).then(
        () => {
          if (still()) reopen();
        },
        (error: unknown) => {
          if (!still()) return;
          if (isRefusal(error)) return reopen();
          ports.log('warn', `job engine of term ${of_term} still waits: ${messageOf(error)}`);
          settle(Math.min(settle_most_ms, delay_ms * 2));
        },
      );
    });
  }

  function reopen(): void {
    cancel_settling = null;
    unsettled?.releaseBars();
    unsettled = null;
    open();
  }

  function admit(mine: Duty, id: number): void {
    if (mine.waiting.has(id) || mine.running.has(id)) return;
    const job = ports.state.get('jobs', jobKey(id));
    if (!job || isFinal(job.status)) return;
    mine.waiting.set(id, { id, place: 'depends', depends_on: 0, priority: priorityOf(job), locks: [] });
  }

  /** Moves a waiting job on as far as it gets without a lock. */
  function review(mine: Duty, waiting: Waiting): void {
    const job = ports.state.get('jobs', jobKey(waiting.id));
    if (!job || isFinal(job.status)) {
      mine.waiting.delete(waiting.id);
      mine.locks.release(waiting.id);
      return;
    }
    if (waiting.place === 'queue') {
      const priority = priorityOf(job);
      if (priority !== waiting.priority) mine.locks.request(waiting.id, priority, waiting.locks);
      waiting.priority = priority;
      return;
    }
    const gate = dependencyGate(ports.state, job);
    if (gate.type === 'wait') {
      waiting.depends_on = gate.job;
      return;
    }
    waiting.priority = priorityOf(job);
    const readable = gate.type === 'never' ? gate.error : readableOps(job);
    if (readable) {
      mine.waiting.delete(waiting.id);
      run(mine, job, [], readable);
      return;
    }
    waiting.place = 'queue';
    waiting.locks = jobLocks(opcodes, job, ports.state);
    mine.locks.request(waiting.id, waiting.priority, waiting.locks);
  }

  function readableOps(job: Job): OpError | null {
    try {
      checkOps(
        opcodes,
        job.ops.map((op) => op.input),
      );
      jobLocks(opcodes, job, ports.state);
      return null;
    } catch (error) {
      if (error instanceof OpError) return error;
      ports.log('error', `job ${job.id} cannot be read: ${messageOf(error)}`);
      return new OpError(
        'OpPrereqError',
        `job ${job.id} cannot be read: ${messageOf(error)}`,
        'internal_error',
      );
    }
  }

  function schedule(mine: Duty): void {
    for (const waiting of [...mine.waiting.values()]) review(mine, waiting);
    const limit = ports.state.get('cluster', cluster_key)?.max_running_jobs ?? default_max_running;
    for (let again = true; again; ) {
      again = false;
      const repairs = mine.repairs.size;
      const free = {
        ordinary: limit - (mine.running.size - repairs - mine.parents.size),
        repair: repair_slots - repairs,
      };
      for (const id of mine.locks.grant(free.ordinary, isRepairId, free.repair)) {
        const waiting = mine.waiting.get(id)!;
        const job = ports.state.get('jobs', jobKey(id))!;
        // What the locks were computed from may have changed while it waited.
        const locks = jobLocks(opcodes, job, ports.state);
        if (JSON.stringify(locks) !== JSON.stringify(waiting.locks)) {
          mine.locks.release(id);
          waiting.locks = locks;
          mine.locks.request(id, waiting.priority, locks);
          again = true;
          continue;
        }
        mine.waiting.delete(id);
        run(mine, job, locks, null);
      }
    }
  }

  const isRepairId = (id: number): boolean => {
    const job = ports.state.get('jobs', jobKey(id));
    return job !== undefined && isRepair(job);
  };

  function run(mine: Duty, job: Job, locks: readonly LockRequest[], reject: OpError | null): void {
    const runner = runJob(mine.session, opcodes, { job, locks, reject });
    mine.running.set(job.id, runner);
    if (isRepair(job)) mine.repairs.add(job.id);
    else if (opcodes.get(job.ops[0]?.input.OP_ID ?? '')?.waits_for_jobs) mine.parents.add(job.id);
    const over = (): void => {
      mine.running.delete(job.id);
      mine.repairs.delete(job.id);
      mine.parents.delete(job.id);
      mine.locks.release(job.id);
      if (duty === mine) wake();
    };
    runner.ended.then(over, (error: unknown) => {
      // The session's end is the only thing that a runner rejects with; the next session resumes the job.
      if (error instanceof EngineStopped) return;
      ports.log('error', `job ${job.id}: ${JSON.stringify(failureOf(error).result)}`);
      mine.session.halt(true, `job ${job.id} broke an invariant: ${messageOf(error)}`);
    });
  }

  function wake(): void {
    if (wake_pending || duty === null) return;
    wake_pending = true;
    // Joins the wakes of one turn, and keeps proposals out of the caller's stack (it may be applying entries).
    queueMicrotask(() => {
      wake_pending = false;
      const mine = duty;
      if (mine === null) return;
      const next = ports.state.get('meta', meta_key)?.next_job ?? 1;
      for (let id = mine.next_job; id < next; id++) admit(mine, id);
      mine.next_job = Math.max(mine.next_job, next);
      for (const runner of mine.running.values()) runner.wake();
      schedule(mine);
    });
  }

  function stop(): void {
    term = 0;
    cancel_settling?.();
    cancel_settling = null;
    const ending = duty;
    duty = null;
    if (!ending) return;
    // Its proposals may still commit, so its bars stay until a later term's own entry has decided about them.
    unsettled = ending.session;
    ending.session.halt(true, 'stopped');
  }

  return {
    start(new_term) {
      if (!Number.isSafeInteger(new_term) || new_term < 1)
        throw new RangeError(`term ${new_term}: expected a positive integer`);
      if (new_term === term) return;
      stop();
      term = new_term;
      reopen();
    },
    stop,
    wake,
    onProgress(handler) {
      handlers.add(handler);
      return () => handlers.delete(handler);
    },
    why(id) {
      const waiting = duty?.waiting.get(id);
      if (!duty || !waiting) return null;
      if (waiting.place === 'depends') return `waits for job ${waiting.depends_on} to end`;
      const blockers = duty.locks.blockers(id);
      if (blockers.length === 0)
        return `waits for one of ${duty.running.size} running jobs to end (max_running_jobs)`;
      const shown = blockers.slice(0, 5).map(({ job, lock }) => `${lock} (job ${job})`);
      const more = blockers.length > shown.length ? ` and ${blockers.length - shown.length} more` : '';
      return `waits for ${shown.join(', ')}${more}`;
    },
  };
}

/** Submitted by the repair decider. */
const isRepair = (job: Job): boolean => job.ops[0]?.input['skein_repair'] === true;

/** Ganeti's rule: the most urgent of its ops that have not ended. */
function priorityOf(job: Job): number {
  const open = job.ops.filter((op) => !isFinal(op.status)).map((op) => op.priority);
  return open.length > 0 ? Math.min(...open) : 0;
}
