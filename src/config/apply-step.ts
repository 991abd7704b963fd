/**
 * Steps of a running opcode: what was begun, and what came of it. A step's result and the changes of configuration
 * that belong to it are one command, so no leader ever sees the one without the other.
 */
import { activeJob } from './apply-job.ts';
import { opOf } from './apply-op.ts';
import { sameData } from './canonical.ts';
import type { Command } from './commands.ts';
import type { Draft } from './draft.ts';
import { isActive } from './job-status.ts';
import { jobKey, stepKey } from './keys.ts';
import type { Step } from './model.ts';
import { refuse } from './refused.ts';

type Of<T extends Command['type']> = Extract<Command, { type: T }>;
type NewStep = Of<'step-begin'>['step'];

/** Value: null. Begun again with the same content while still open: fine, a retry of unknown outcome. */
export function applyStepBegin(draft: Draft, command: Of<'step-begin'>): null {
  const { step } = command;
  const key = stepKey(step.job, step.op, step.step);
  const opened = openedStep(step);
  const present = draft.get('steps', key);
  if (present !== undefined) {
    if (sameData(present, opened)) return null;
    refuse('stale', `step ${key} was begun before, as ${present.name} (${present.status})`);
  }
  checkMayAct(draft, step);
  draft.put('steps', key, opened);
  return null;
}

/**
 * Ends a step, and applies `commands` with it. Value: the values of `commands`, in order; when `result` is null and
 * there are commands, those values are recorded as the step's result, so that a later leader can return them.
 * A `done`, `failed` or `node-lost` step may still become `undone`. The same end twice changes nothing.
 */
export function applyStepEnd(
  draft: Draft,
  command: Of<'step-end'>,
  applyAll: (commands: readonly Command[]) => readonly unknown[],
): unknown {
  const key = stepKey(command.job, command.op, command.step);
  const { begin } = command;
  if (begin !== null && stepKey(begin.job, begin.op, begin.step) !== key) {
    refuse('invalid', `step-end of ${key} begins another step, ${stepKey(begin.job, begin.op, begin.step)}`);
  }
  const present = draft.get('steps', key);
  const repeated = present === undefined ? null : repeatedEnd(present, command);
  if (repeated !== null) return repeated.values;
  const step = stepToEnd(draft, key, command, present);

  const values = applyAll(command.commands).map((value) => value ?? null);
  const given = command.result ?? null;
  const result = given === null && command.commands.length > 0 ? values : given;
  // `cluster-destroy` takes the job that asked for it along: there is nobody left to tell.
  if (draft.get('jobs', jobKey(command.job)) === undefined) return values;
  draft.put('steps', key, { ...step, status: command.status, result });
  return values;
}

function stepToEnd(draft: Draft, key: string, command: Of<'step-end'>, present: Step | undefined): Step {
  if (command.begin !== null) {
    if (present !== undefined)
      refuse('stale', `step ${key} was begun before, as ${present.name} (${present.status})`);
    checkMayAct(draft, command.begin);
    return openedStep(command.begin);
  }
  if (present === undefined)
    return refuse('stale', `step ${key} is not open: it was never begun, or its job has ended`);
  activeJob(draft, command.job);
  const mayBeUndone = command.status === 'undone' && present.status !== 'undone';
  if (present.status !== 'open' && !mayBeUndone)
    refuse('stale', `step ${key} is not open: it is ${present.status}`);
  return present;
}

/** Not null: this very end was applied before; with the values that it answered then, as far as they were recorded. */
function repeatedEnd(present: Step, command: Of<'step-end'>): { readonly values: unknown } | null {
  if (present.status !== command.status) return null;
  if (command.begin !== null && !sameData(withoutEnd(present), withoutEnd(openedStep(command.begin))))
    return null;
  const given = command.result ?? null;
  const recorded = given === null && command.commands.length > 0;
  if (!recorded && !sameData(present.result, given)) return null;
  return { values: recorded ? present.result : [] };
}

function withoutEnd(step: Step): NewStep {
  const { status: _status, result: _result, ...rest } = step;
  return rest;
}

function openedStep(step: NewStep): Step {
  const undo = step.undo === null ? null : { verb: step.undo.verb, args: step.undo.args ?? null };
  return { ...step, args: step.args ?? null, undo, status: 'open', result: null };
}

function checkMayAct(draft: Draft, step: NewStep): void {
  const job = activeJob(draft, step.job);
  const op = opOf(job, step.op);
  if (!isActive(op.status))
    refuse('stale', `op ${step.op} of job ${job.id} is ${op.status}: expected it running`);
  if (step.node !== '') draft.node(step.node);
}
