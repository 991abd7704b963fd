/**
 * Nodes that were chosen and are not owned yet. Between the choice of a node and the owner's entry in the state lie a
 * few moments, in which another job must not take the same room; and an instance that is being made takes its memory
 * only when it is started, an hour later perhaps. The recorded plans of running jobs say both, to a new leader as well.
 */
import type { StateView } from '../config/api.ts';
import { jobKey, stepKey } from '../config/keys.ts';
import type { Disk, Instance, JobOp, Step } from '../config/model.ts';

/** Parts of an instance that placement counts. */
export type ChosenInstance = Pick<
  Instance,
  'uuid' | 'name' | 'disk_template' | 'beparams' | 'tags' | 'admin_state' | 'admin_state_source'
> & { readonly nics?: readonly unknown[] };

/** A new instance for a node. */
export interface NewChoice {
  readonly kind: 'new';
  readonly job: number;
  readonly op: number;
  readonly node: string;
  readonly instance: ChosenInstance;
  readonly disks: readonly Pick<Disk, 'size'>[];
  /** It will be started at once. */
  readonly starts: boolean;
}

/** An instance that goes to another node. */
export interface MoveChoice {
  readonly kind: 'move';
  readonly job: number;
  readonly op: number;
  readonly node: string;
  readonly instance: string;
}

/** What an instance will take that is owned already, and is being made. */
export interface MakingChoice {
  readonly kind: 'making';
  readonly job: number;
  readonly op: number;
  readonly instance: string;
  readonly starts: boolean;
  /** Of disks that are not there yet. */
  readonly disk_mib: number;
}

/** An instance that is to take more memory where it is. */
export interface GrowChoice {
  readonly kind: 'grow';
  readonly job: number;
  readonly op: number;
  /** As it will be. */
  readonly instance: Instance;
}

export type Choice = NewChoice | MoveChoice | MakingChoice | GrowChoice;

/** The step in which opcodes record what they chose. */
export const plan_step = 'plan';

const steps_of_a_plan = 1_000;

/** Of the jobs that run, as far as their steps are in the state. */
export function recordedChoices(state: StateView): readonly Choice[] {
  const choices: Choice[] = [];
  for (const step of state.list('steps')) {
    if (step.name !== plan_step || step.verb !== 'learn' || step.status !== 'done') continue;
    const op = state.get('jobs', jobKey(step.job))?.ops[step.op];
    if (op?.status !== 'running' && op?.status !== 'canceling') continue;
    choices.push(...choicesOf(state, step, op));
  }
  return choices;
}

/** What an opcode's plan says, as far as this file reads it: it comes from the log, perhaps from an older version. */
interface RecordedPlan {
  readonly instance?: ChosenInstance & { readonly primary_node: string };
  readonly disks?: readonly Pick<Disk, 'size'>[];
  readonly facts?: Pick<Instance, 'uuid' | 'owner'>;
  readonly target?: { readonly uuid: string };
  readonly node?: { readonly uuid: string };
  readonly moves?: readonly {
    readonly instance: { readonly uuid: string };
    readonly to: { readonly uuid: string };
  }[];
}

function choicesOf(state: StateView, step: Step, { input }: JobOp): readonly Choice[] {
  const { job, op } = step;
  const plan = step.result as RecordedPlan;
  switch (input.OP_ID) {
    case 'OP_INSTANCE_CREATE': {
      const { instance, disks } = plan;
      if (instance === undefined) return [];
      const starts = input['start'] !== false;
      if (state.get('instances', instance.uuid) === undefined) {
        return [{ kind: 'new', job, op, node: instance.primary_node, instance, disks: disks ?? [], starts }];
      }
      const disk_mib = unmadeDisks(state, step, disks ?? []);
      return [{ kind: 'making', job, op, instance: instance.uuid, starts, disk_mib }];
    }
    case 'OP_INSTANCE_FAILOVER': {
      const { facts, target } = plan;
      if (facts === undefined || target === undefined) return [];
      const owner = state.get('instances', facts.uuid)?.owner;
      if (owner === undefined || owner.epoch !== facts.owner.epoch) return [];
      return [{ kind: 'move', job, op, node: target.uuid, instance: facts.uuid }];
    }
    case 'OP_NODE_EVACUATE': {
      const { node, moves = [] } = plan;
      // Until its turn has come.
      return moves.flatMap(({ instance: { uuid }, to }): readonly Choice[] => {
        const waits = state.get('instances', uuid)?.owner.node === node?.uuid;
        return waits ? [{ kind: 'move', job, op, node: to.uuid, instance: uuid }] : [];
      });
    }
    default:
      return [];
  }
}

/** MiB of the disks whose making has not ended. */
function unmadeDisks(state: StateView, plan: Step, disks: readonly Pick<Disk, 'size'>[]): number {
  const made = new Set<string>();
  for (let at = plan.step + 1; at < plan.step + steps_of_a_plan; at++) {
    const step = state.get('steps', stepKey(plan.job, plan.op, at));
    if (step === undefined) break;
    if (step.status === 'done') made.add(step.name);
  }
  return disks.reduce((sum, { size }, at) => (made.has(`create-disk-${at}`) ? sum : sum + size), 0);
}
