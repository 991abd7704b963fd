/**
 * Taking back what an op has done, from the log alone: the undo of each recorded step, newest first. Resumable at any
 * point by any leader, because each one taken back is recorded (`undone`) and each undo is idempotent.
 *
 * Why it came to that is recorded first (step `rollback`), so that a new leader goes on undoing and does not run the
 * op again. What cannot be undone (its node is lost and no other can do it, or it fails again and again) is skipped with
 * a warning in the op's log: a job must end.
 */
import type { Command } from '../config/commands.ts';
import type { Step } from '../config/model.ts';
import { argsHash, toPlain } from './args-hash.ts';
import { nodeName } from './op-context.ts';
import { CommandRefused, type Failure } from './op-result.ts';
import { canUndoElsewhere, removeElsewhere } from './remove-elsewhere.ts';
import type { Session } from './session.ts';
import type { VerbName } from './types.ts';
import { callUndo } from './undo-call.ts';

/** The failure that an earlier leader had begun to roll back; null when none had. */
export function rollbackInLog(records: ReadonlyMap<number, Step>): Failure | null {
  const marker = [...records.values()].find((step) => step.verb === 'rollback');
  return marker ? (marker.result as Failure) : null;
}

/** The steps that are to be taken back, newest first. */
export function stepsToUndo(records: ReadonlyMap<number, Step>): readonly Step[] {
  const steps = [...records.values()];
  if (steps.some((step) => step.undo?.verb === 'keep')) return [];
  return steps
    .filter((step) => step.undo !== null && step.status !== 'undone')
    .sort((a, b) => b.step - a.step);
}

/** Resolves when nothing is left to undo. Rejects only with `EngineStopped`. */
export async function rollBack(
  session: Session,
  job: number,
  op: number,
  records: ReadonlyMap<number, Step>,
  failure: Failure,
): Promise<void> {
  const steps = stepsToUndo(records);
  if (steps.length === 0) return;
  if (rollbackInLog(records) === null) await recordRollback(session, job, op, records, failure);
  for (const step of steps) {
    const problem =
      step.undo!.verb === 'commit' ? await undoCommit(session, step) : await undoCall(session, step);
    if (problem === null) continue;
    const text = `"${step.name}" was not undone: ${problem}`;
    session.ports.log('warn', text, { job, op, step: step.step });
    const time = session.ports.wall_s();
    await proposeAll(session, [
      { type: 'op-log', time, job, op, kind: 'warning', text },
      undoneCommand(session, step, { warning: problem }, []),
    ]);
  }
}

async function recordRollback(
  session: Session,
  job: number,
  op: number,
  records: ReadonlyMap<number, Step>,
  failure: Failure,
): Promise<void> {
  const step = Math.max(-1, ...records.keys()) + 1;
  const time = session.ports.wall_s();
  await proposeAll(session, [
    {
      type: 'step-end',
      time,
      job,
      op,
      step,
      begin: {
        job,
        op,
        step,
        name: 'rollback',
        node: '',
        verb: 'rollback',
        args: null,
        args_hash: argsHash('rollback', '', null),
        undo: null,
      },
      status: 'done',
      result: toPlain(failure),
      commands: [],
    },
  ]); // prettier-ignore
}

/** null: undone and recorded. Otherwise why not. */
async function undoCommit(session: Session, step: Step): Promise<string | null> {
  const { commands } = step.undo!.args as { commands: readonly Command[] };
  // A commit that was never recorded as done changed nothing.
  if (step.status !== 'done') return null;
  const time = session.ports.wall_s();
  try {
    await session.propose(
      undoneCommand(
        session,
        step,
        null,
        commands.map((command) => ({ ...command, time })),
      ),
    );
    return null;
  } catch (error) {
    if (!(error instanceof CommandRefused)) throw error;
    return error.message;
  }
}

async function undoCall(session: Session, step: Step): Promise<string | null> {
  const { verb, args } = step.undo!;
  const key = { job: step.job, op: step.op, step: step.step, undo: true };
  const { state } = session.ports;
  const outcome = await callUndo(session, step.node, key, state.index, verb as VerbName, args);
  if (outcome.status === 'done') {
    await proposeAll(session, [undoneCommand(session, step, toPlain(outcome.result), [])]);
    return null;
  }
  const where = nodeName(state, step.node);
  if (outcome.status === 'failed') return `${verb} failed on ${where}: ${outcome.why}`;
  const text = `${where} is lost; ${verb} was not done there`;
  if (!canUndoElsewhere(step)) return text;
  const problem = await removeElsewhere(session, step);
  if (problem !== null) return `${text}, nor elsewhere: ${problem}`;
  await proposeAll(session, [undoneCommand(session, step, null, [])]);
  return null;
}

function undoneCommand(session: Session, step: Step, result: unknown, commands: readonly Command[]): Command {
  return {
    type: 'step-end',
    time: session.ports.wall_s(),
    job: step.job,
    op: step.op,
    step: step.step,
    begin: null,
    status: 'undone',
    result,
    commands,
  }; // prettier-ignore
}

/** One entry; a refusal here means that the job is not ours any more, so the caller must not go on. */
async function proposeAll(session: Session, commands: readonly Command[]): Promise<void> {
  const time = session.ports.wall_s();
  try {
    await session.propose(commands.length === 1 ? commands[0]! : { type: 'batch', time, commands });
  } catch (error) {
    if (!(error instanceof CommandRefused)) throw error;
    session.ports.log('error', `undo bookkeeping was refused: ${error.message}`, {
      commands: commands.map((c) => c.type),
    });
  }
}
