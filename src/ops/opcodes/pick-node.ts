/**
 * The opcodes' one door to placement: a node for a new instance, a target for a failover, and whether an instance may be
 * where somebody wants it.
 */
import type { Admission, Cluster, Disk, Instance, Node } from '../../config/model.ts';
import { explainRefusals, type PlacementAnswer } from '../../placement/placement-ask.ts';
import type { Choice, ChosenInstance, NewChoice } from '../choices.ts';
import type { RunContext } from '../op-context.ts';
import { wantedInstance } from '../placement-view.ts';
import { type PolicySubject, violationsIn } from '../policy-check.ts';
import { OpError } from '../types.ts';
import { clusterOf, needNode } from './lookup.ts';

/** A node, and what the job's log has to say of it; '' if nothing. */
export interface Picked {
  readonly node: Node;
  readonly warning: string;
}

export interface NewInstance {
  readonly instance: ChosenInstance;
  readonly disks: readonly Pick<Disk, 'size'>[];
  readonly starts: boolean;
}

const admissionOf = (cluster: Cluster) => cluster.admission ?? 'warn';

/**
 * Throws `insufficient_resources` saying of every node why it will not do.
 * @param group uuid of the only one that will do
 * @param subject what has to keep to the policy of its group; null: nothing has
 */
export async function pickNode(
  ctx: RunContext,
  wanted: NewInstance,
  group: string | null,
  subject: PolicySubject | null,
): Promise<Picked> {
  const cluster = clusterOf(ctx.state);
  const answer = await ctx.ports.placement.choose(
    {
      type: 'allocate',
      instance: rowOf(cluster, wanted),
      node_count: 1,
      group,
      exclude: subject === null ? [] : againstPolicy(ctx, cluster, subject),
      admission: admissionOf(cluster),
      // Done above, in words that say by how much.
      check_policy: false,
    },
    (node) => newChoice(ctx, wanted, node),
  );
  return picked(ctx, answer);
}

/** A new instance on a node that somebody named. Throws if the node may not own it or has not the memory. */
export async function pickNamed(ctx: RunContext, wanted: NewInstance, name: string): Promise<Picked> {
  const cluster = clusterOf(ctx.state);
  const node = needUsableNode(needNode(ctx.state, name));
  const answer = await ctx.ports.placement.choose(
    { type: 'admit', instance: rowOf(cluster, wanted), node: node.uuid, admission: admissionOf(cluster) },
    () => newChoice(ctx, wanted, node.uuid),
  );
  return picked(ctx, answer);
}

/**
 * An instance that runs is to take more memory where it is. Answers what there is to say of it, '' if nothing; throws
 * where the cluster's parameter `admission` says so.
 */
export async function admitGrowth(ctx: RunContext, grown: Instance): Promise<string> {
  const choice = { kind: 'grow', job: ctx.job, op: ctx.op, instance: grown } as const;
  const answer = await admitWhereItIs(ctx, grown, admissionOf(clusterOf(ctx.state)), choice);
  // Its node has not got that much: that is for its next start to fail on, or to be mended before.
  if (answer.refused.length > 0) return explainRefusals(answer.refused);
  return warningOf(answer);
}

/**
 * An instance that is down is to run where it is. Throws when its node lacks the memory, beside all that is to run there
 * and all that is on its way there: a job that chose the node before may still wait for another host.
 */
export async function admitStart(ctx: RunContext, instance: Instance): Promise<void> {
  const { uuid } = instance;
  const choice = {
    kind: 'making',
    job: ctx.job,
    op: ctx.op,
    instance: uuid,
    starts: true,
    disk_mib: 0,
  } as const;
  // What its start would do to N+1 was asked when it was made.
  const answer = await admitWhereItIs(ctx, instance, 'off', choice);
  if (answer.refused.length === 0) return;
  throw new OpError(
    'OpPrereqError',
    `instance ${instance.name} has no room where it is: ${explainRefusals(answer.refused)}`,
    'insufficient_resources',
  );
}

/** Whether an instance may run where it is. */
function admitWhereItIs(
  { state, ports }: RunContext,
  instance: Instance,
  admission: Admission,
  choice: Choice,
): Promise<PlacementAnswer> {
  const disks = instance.disks.flatMap((uuid) => state.get('disks', uuid) ?? []);
  const row = wantedInstance(clusterOf(state), instance, disks, 'running');
  return ports.placement.choose(
    { type: 'admit', instance: row, node: instance.owner.node, admission },
    () => choice,
  );
}

/** Nodes of the groups whose policy an instance would break, and how. */
function againstPolicy(
  { state }: RunContext,
  cluster: Cluster,
  subject: PolicySubject,
): readonly (readonly [string, string])[] {
  const broken = new Map(
    state.list('groups').map((group) => [group.uuid, violationsIn(cluster, group, subject)]),
  );
  return state.list('nodes').flatMap((node) => {
    const violations = broken.get(node.group) ?? [];
    return violations.length === 0
      ? []
      : [[node.uuid, `is out by policy: ${violations.join('; ')}`] as const];
  });
}

function rowOf(cluster: Cluster, { instance, disks, starts }: NewInstance) {
  return wantedInstance(cluster, instance, disks, starts ? 'running' : 'ADMIN_down');
}

function newChoice(ctx: RunContext, wanted: NewInstance, node: string): NewChoice {
  return { kind: 'new', job: ctx.job, op: ctx.op, node, ...wanted };
}

function picked(ctx: RunContext, answer: PlacementAnswer): Picked {
  const warning = warningOf(answer);
  const [first] = answer.nodes ?? [];
  if (first !== undefined) return { node: needNode(ctx.state, first.node), warning };
  throw new OpError(
    'OpPrereqError',
    `no node will do: ${explainRefusals(answer.refused)}`,
    'insufficient_resources',
  );
}

/** @throws OpError where what the answer warns of is not to be */
function warningOf({ nodes, unsafe }: PlacementAnswer): string {
  if (unsafe === null) return '';
  if (nodes !== null) return `any one node could be lost before, and not any more: ${unsafe}`;
  throw new OpError(
    'OpPrereqError',
    `any one node can be lost now, and could not any more: ${unsafe} (the cluster's admission is refuse)`,
    'insufficient_resources',
  );
}

/** A node that may own an instance; throws naming what is against it. `drained` nodes take nothing new. */
export function needUsableNode(node: Node): Node {
  const against = [
    node.offline && 'is marked offline',
    node.drained && 'is drained',
    !node.vm_capable && 'is not vm_capable',
    node.health !== 'member' && `is ${node.health}`,
  ].filter((text) => text !== false);
  if (against.length === 0) return node;
  throw new OpError('OpPrereqError', `node ${node.name} ${against.join(' and ')}`, 'wrong_state');
}

/** Where a failover goes. `may_stay`: its own node will do too, because that has restarted since. */
export async function pickTarget(
  ctx: RunContext,
  instance: Instance,
  wanted: string | null,
  may_stay: boolean,
): Promise<Picked> {
  const named = wanted === null ? null : needNode(ctx.state, wanted);
  if (named?.uuid === instance.owner.node) {
    if (may_stay) return { node: named, warning: '' };
    throw new OpError(
      'OpPrereqError',
      `instance ${instance.name} is on node ${named.name} already`,
      'wrong_state',
    );
  }
  if (named !== null) needUsableNode(named);
  const answer = await ctx.ports.placement.choose(
    { type: 'relocate', instance: instance.uuid, may_stay, to: named?.uuid ?? null },
    (node) => ({ kind: 'move', job: ctx.job, op: ctx.op, node, instance: instance.uuid }),
  );
  // Nothing is known of it yet, to a leader that has just begun: the node itself has the last word.
  if (named !== null && answer.nodes === null && answer.refused.every(({ code }) => code === 'no-live-data'))
    return { node: named, warning: '' };
  const { node } = picked(ctx, { ...answer, unsafe: null });
  return { node, warning: answer.forced ? `node ${node.name} takes it beyond its soft limits` : '' };
}
