/**
 * The context of one running op: turns what an opcode asks for into recorded steps.
 *
 * Guarantees: a step that the log calls finished is never acted on again; an open one is called again under the same
 * key; a step other than the recorded one stops the op. Steps are numbered when they are asked for, so an opcode may
 * ask for several at once as long as it asks in the same order each time.
 * After the point of no return every step carries the undo `keep`, which tells a leader that never saw this run that
 * nothing of this op is to be undone.
 */
import type { StateView } from '../config/api.ts';
import type { Command } from '../config/commands.ts';
import { jobKey } from '../config/keys.ts';
import type { Step } from '../config/model.ts';
import { argsHash, toPlain } from './args-hash.ts';
import { CommandRefused, EngineStopped, OpCanceled, opErrorOfRefusal, ReplayMismatch } from './op-result.ts';
import { consensusOutcome, messageOf, type Session } from './session.ts';
import {
  NodeCallError,
  type NodeVerbs,
  type OpContext,
  OpError,
  type Progress,
  type StepKey,
  type StepOptions,
  type VerbName,
} from './types.ts';

/** A call that a node refuses (no lease yet, another term) is repeated this often: 250 ms doubling, 16 s in all. */
const refused_retries = 6;

/** Verbs that a cancellation interrupts. The others are short, and end by themselves before the op is undone. */
const abortable: ReadonlySet<string> = new Set<VerbName>(['os.create', 'test.delay']);

/** What {@link OpContext} needs beyond the shared contract. */
export interface RunContext extends OpContext {
  /**
   * A configuration change whose commands are made at the last moment, from facts of this leader and this moment
   * (evidence!), without an await in between. null from `make`: not now; nothing is recorded and null is returned.
   * A replay returns what was recorded and does not call `make`.
   */
  commitNow(name: string, make: () => readonly Command[] | null): Promise<readonly unknown[] | null>;
  /** Not recorded: waits, or throws when cancellation was requested. */
  pause(delay_ms: number): Promise<void>;
  /** Wall clock in seconds for the `time` of commands; not recorded, and no part of what a replay compares. */
  wall(): number;
  /** Chance, for use inside `learn` only: what is drawn must be recorded. */
  readonly draw: { uuid(): string; random(): number };
  readonly ports: OpContext['ports'];
}

export type StepBegin = Omit<Step, 'status' | 'result'>;

export interface OpRun {
  readonly context: RunContext;
  /** Everything recorded so far, by step number. */
  readonly records: ReadonlyMap<number, Step>;
  readonly past_no_return: boolean;
  /** Called when cancellation was requested: interrupts what can be interrupted. */
  cancel(): void;
  /** Resolves when no step is under way any more. */
  settle(): Promise<void>;
  /** Whether every recorded step was asked for again. */
  replayedAll(): boolean;
}

interface FailedResult {
  readonly error: string;
}

export function createOpRun(session: Session, job: number, op: number, recorded: readonly Step[]): OpRun {
  const { ports } = session;
  const records = new Map(recorded.map((step) => [step.step, step]));
  const resumed = records.size;
  const cancellation = new AbortController();
  const under_way = new Set<Promise<boolean>>();
  let next_step = 0;
  let no_return = [...records.values()].some((step) => step.undo?.verb === 'keep');

  const checkCanceled = (): void => {
    if (!session.live) throw new EngineStopped();
    if (cancellation.signal.aborted && !no_return) throw new OpCanceled();
  };

  function begin(name: string, node: string, verb: string, args: unknown, undo: Step['undo']): StepBegin {
    const step = next_step++;
    return {
      job,
      op,
      step,
      name,
      node,
      verb,
      args: toPlain(args),
      args_hash: argsHash(verb, node, toPlain(args)),
      undo: no_return ? { verb: 'keep', args: null } : toPlain(undo),
    }; // prettier-ignore
  }

  /** The recorded step of this number, proven to be the one that is asked for now. */
  function recall(asked: StepBegin): Step | undefined {
    const found = records.get(asked.step);
    if (!found) return undefined;
    if (found.name !== asked.name || found.verb !== asked.verb || found.args_hash !== asked.args_hash) {
      throw new ReplayMismatch(
        `replay of job ${job} op ${op} step ${asked.step} asks for ${asked.verb} "${asked.name}" (${asked.args_hash}), ` +
          `but the log has ${found.verb} "${found.name}" (${found.args_hash})`,
      );
    }
    return found;
  }

  async function end(
    step: StepBegin,
    whole: boolean,
    status: Exclude<Step['status'], 'open'>,
    result: unknown,
    commands: readonly Command[],
  ): Promise<unknown> {
    const applied = await session.propose({
      type: 'step-end',
      time: ports.wall_s(),
      job,
      op,
      step: step.step,
      begin: whole ? step : null,
      status,
      result,
      commands,
    }); // prettier-ignore
    records.set(step.step, { ...step, status, result });
    return applied.value;
  }

  async function call(step: StepBegin, index: number, verb: VerbName): Promise<unknown> {
    const key: StepKey = { job, op, step: step.step, undo: false };
    const signal =
      abortable.has(verb) && !no_return
        ? AbortSignal.any([session.signal, cancellation.signal])
        : session.signal;
    const notify = (progress: Progress) => session.progress({ job, op, step: step.name, progress });
    for (let attempt = 0; ; attempt++) {
      try {
        return await session.wait(ports.call(step.node, key, index, verb, step.args, notify, signal));
      } catch (error) {
        const again = error instanceof NodeCallError && error.code === 'refused' && attempt < refused_retries;
        if (!again) throw error;
        await session.pause(250 * 2 ** attempt, signal === session.signal ? undefined : cancellation.signal);
      }
    }
  }

  async function act<V extends VerbName>(
    asked: StepBegin,
    verb: V,
    options: StepOptions<V>,
  ): Promise<NodeVerbs[V]['result']> {
    const found = recall(asked);
    if (found && found.status !== 'open') return outcome<V>(found, options);
    let index = ports.state.index;
    if (!found) {
      checkCanceled();
      index = (await refusable(session.propose({ type: 'step-begin', time: ports.wall_s(), step: asked })))
        .index;
      records.set(asked.step, { ...asked, status: 'open', result: null });
    }
    let result: NodeVerbs[V]['result'];
    try {
      result = toPlain((await call(asked, index, verb)) as NodeVerbs[V]['result']);
    } catch (error) {
      if (error instanceof EngineStopped) throw error;
      const lost = error instanceof NodeCallError && error.code === 'node-lost';
      const failed: FailedResult = { error: messageOf(error) };
      await end(asked, false, lost ? 'node-lost' : 'failed', failed, []);
      if (error instanceof NodeCallError && error.code === 'canceled') checkCanceled();
      return outcome<V>(records.get(asked.step)!, options);
    }
    try {
      await end(asked, false, 'done', result, options.commit?.(result) ?? []);
    } catch (error) {
      if (error instanceof EngineStopped) throw error;
      const failed: FailedResult = { error: messageOf(error) };
      await end(asked, false, 'failed', failed, []);
      throw error instanceof CommandRefused ? opErrorOfRefusal(error) : error;
    }
    return result;
  }

  function outcome<V extends VerbName>(step: Step, options: StepOptions<V>): NodeVerbs[V]['result'] {
    switch (step.status) {
      case 'done':
        return step.result as NodeVerbs[V]['result'];
      case 'node-lost':
        if (options.tolerate_lost) return null as NodeVerbs[V]['result'];
        throw new OpError(
          'OpExecError',
          `${step.name}: ${nodeName(ports.state, step.node)} was lost: ${failureText(step)}`,
          'environment_error',
        );
      case 'failed':
        throw new OpError(
          'OpExecError',
          `${step.name} failed on ${nodeName(ports.state, step.node)}: ${failureText(step)}`,
          'environment_error',
        );
      case 'open':
      case 'undone':
        throw new ReplayMismatch(
          `job ${job} op ${op} step ${step.step} "${step.name}" is ${step.status} where it must have ended`,
        );
      default:
        return step.status satisfies never;
    }
  }

  /** A step that begins and ends in one entry. `make` null: nothing to do now, its number is given back. */
  async function record(
    asked: StepBegin,
    make: () => Promise<{ result: unknown; commands: readonly Command[] } | null>,
  ): Promise<{ fresh: boolean; result: unknown; value: unknown } | null> {
    const found = recall(asked);
    if (found) {
      if (found.status !== 'done')
        throw new ReplayMismatch(
          `job ${job} op ${op} step ${asked.step} "${asked.name}" is ${found.status} where it must be done`,
        );
      return { fresh: false, result: found.result, value: found.result };
    }
    checkCanceled();
    const made = await make();
    if (!made) {
      if (next_step !== asked.step + 1)
        throw new ReplayMismatch(`step "${asked.name}" was given up while others were asked for`);
      next_step = asked.step;
      return null;
    }
    const value = await refusable(end(asked, true, 'done', made.result, made.commands));
    return { fresh: true, result: made.result, value };
  }

  function track<T>(work: Promise<T>): Promise<T> {
    const settled: Promise<boolean> = work.then(
      () => under_way.delete(settled),
      () => under_way.delete(settled),
    );
    under_way.add(settled);
    return work;
  }

  async function learn<T>(name: string, fn: () => T | Promise<T>): Promise<T> {
    const learnt = await record(begin(name, '', 'learn', null, null), async () => {
      try {
        return { result: toPlain(await session.wait(Promise.resolve(fn()))), commands: [] };
      } catch (error) {
        const fate = consensusOutcome(error);
        if (fate === null) throw error;
        session.halt(fate === 'unknown', `${name}: ${messageOf(error)}`);
        throw new EngineStopped();
      }
    });
    return learnt!.result as T;
  }

  const context: RunContext = {
    job,
    op,
    state: ports.state,
    ports: {
      placement: {
        choose: (ask, choiceOf) => session.wait(ports.placement.choose(ask, choiceOf)),
        report: (ask) => session.wait(ports.placement.report(ask)),
      },
      live: (node) => ports.live(node),
      evidence: (node) => ports.evidence(node),
      barLease: (node) => session.barLease(node),
      removeMember: (member) => session.wait(ports.removeMember(member)),
      voters: () => ports.voters(),
    },
    step: (name, node, verb, args, options = {}) => {
      const asked = begin(name, node, verb, args, options.undo ?? null);
      return track(act(asked, verb, options));
    },
    commit: (name, commands, undo) => {
      const data = undo && undo.length > 0 ? { verb: 'commit', args: { commands: undo } } : null;
      const asked = begin(name, '', 'commit', { commands: commands.map(timeless) }, data);
      const work = record(asked, () => Promise.resolve({ result: null, commands }));
      return track(work.then((done) => valuesOf(done?.value, commands.length)));
    },
    commitNow: (name, make) => {
      const asked = begin(name, '', 'commit-now', null, null);
      const work = record(asked, () => {
        const commands = make();
        return Promise.resolve(commands && { result: null, commands });
      });
      return track(work.then((done) => done && valuesOf(done.value, 0)));
    },
    learn: (name, fn) => track(learn(name, fn)),
    pointOfNoReturn: () => {
      no_return = true;
    },
    time: () => context.learn('time', () => ports.wall_s()),
    uuid: (name) => context.learn(name, () => ports.uuid()),
    log: async (text, kind = 'message') => {
      if (records.has(next_step)) return;
      const line = ports.state.get('jobs', jobKey(job))?.ops[op]?.log ?? [];
      if (resumed > 0 && line.some(([, , had_kind, had]) => had_kind === kind && had === text)) return;
      await refusable(session.propose({ type: 'op-log', time: ports.wall_s(), job, op, kind, text }));
    },
    progress: (progress) => session.progress({ job, op, step: '', progress }),
    sleep: async (name, ms) => {
      const until = await context.learn(name, () => ports.wall_s() + ms / 1000);
      // Never longer than asked for, whatever became of the wall clock between two leaders.
      const rest_ms = Math.min(ms, Math.max(0, (until - ports.wall_s()) * 1000));
      if (rest_ms > 0 && !records.has(next_step)) await context.pause(rest_ms);
    },
    pause: async (delay_ms) => {
      checkCanceled();
      await session.pause(delay_ms, no_return ? undefined : cancellation.signal);
      checkCanceled();
    },
    wall: () => ports.wall_s(),
    draw: { uuid: () => ports.uuid(), random: () => ports.random() },
    checkCanceled,
  };

  return {
    context,
    records,
    get past_no_return() {
      return no_return;
    },
    cancel: () => cancellation.abort(),
    settle: async () => {
      while (under_way.size > 0) await Promise.all([...under_way]);
    },
    replayedAll: () => next_step >= resumed,
  };
}

async function refusable<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw error instanceof CommandRefused ? opErrorOfRefusal(error) : error;
  }
}

/** Commands as a replay compares them: their time is the proposer's and differs. */
function timeless(command: Command): unknown {
  return { ...command, time: 0 };
}

function valuesOf(value: unknown, count: number): readonly unknown[] {
  return Array.isArray(value) ? value : Array.from({ length: count }, () => null);
}

function failureText(step: Step): string {
  const { result } = step;
  return typeof result === 'object' && result !== null && 'error' in result
    ? String(result.error)
    : String(result);
}

/** A node as people call it. */
export function nodeName(state: StateView, uuid: string): string {
  const name = state.get('nodes', uuid)?.name;
  return name ? `node ${name}` : `a node that is no longer a member (${uuid})`;
}
