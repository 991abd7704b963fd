/**
 * What the leader should do next about lost, rebooted and returning nodes and about instances that should run and do
 * not. Pure and total: same view, same actions. It proposes; evidence is looked at again when the entry is proposed,
 * and the entry carries `if epoch`. It must never act on an instance without evidence against its owner's boot, nor
 * twice at a time on one.
 */
import type { Instance, Node } from '../../config/model.ts';
import { isProtected } from '../../config/protected.ts';
import type { HaAction, HaView } from '../ha-types.ts';
import { retryDelayMs, runsNot } from './attempts.ts';
import { evidenceFor, isSuspect, isWell } from './evidence.ts';
import { calmMs, no_memory, observe } from './observe.ts';
import type { HaWorld } from './world.ts';

export { retryDelayMs } from './attempts.ts';
export { evidenceFor, isSuspect, isWell } from './evidence.ts';
export { calmMs, type HaMemory, no_memory, observe, stormThreshold } from './observe.ts';
export type { HaWorld } from './world.ts';

/** Guests started at a time on one node: more would slow each other into their timeouts. */
export const max_starts_per_node = 4;
const priority_tag = 'skein:priority:';

/** From the tag `skein:priority:N`; higher goes first, 0 without one. */
export function instancePriority(instance: Pick<Instance, 'tags'>): number {
  const tag = instance.tags.find((candidate) => candidate.startsWith(priority_tag));
  const value = tag === undefined ? 0 : Number(tag.slice(priority_tag.length));
  return Number.isFinite(value) ? value : 0;
}

export function decide(world: HaWorld): readonly HaAction[] {
  const memory = world.memory ?? observe(no_memory, world);
  const storm = memory.storm.on;
  const health = world.nodes
    .map((node) => nodeHealth(world, node, storm, memory.calm_since_ms.get(node.uuid)))
    .filter((action) => action !== null);
  const held: string[] = [];
  const repairs = repair(world, storm, held);
  if (!storm) return [...health, ...repairs];
  const silent = memory.suspect_since_ms.size;
  const reason = `${silent} of ${world.nodes.length} nodes fell silent together; automatic failover waits${held.length === 0 ? '' : ` (${held.length} instances)`} until fewer are, or for a person`;
  return [{ type: 'hold', reason }, ...health, ...repairs];
}

/** member → lost → returning → member; null: stays what it is. */
function nodeHealth(
  world: HaWorld,
  node: Node,
  storm: boolean,
  calm_since_ms: number | undefined,
): HaAction | null {
  const heard = world.heard.get(node.uuid);
  // A new boot is logged first; whatever is decided then is conditional on it.
  if (heard !== undefined && heard.boot > node.boot) return null;
  const become = (health: Node['health'], reason: string): HaAction => ({
    type: 'node-health',
    node: node.uuid,
    health,
    reason,
    if_boot: node.boot,
  });
  switch (node.health) {
    case 'member':
    case 'returning': {
      const evidence = evidenceFor(world, node.uuid);
      if (evidence !== null)
        return storm && evidence.kind !== 'power'
          ? null
          : become('lost', `${evidence.kind}: ${evidence.text}`);
      if (node.health === 'member') return null;
      return isCalm(world, node, calm_since_ms)
        ? become('member', `heard without a gap for ${calmMs(world.ha)} ms`)
        : null;
    }
    case 'lost':
    case 'fenced':
      return heard !== undefined && !isSuspect(world, node.uuid) ? become('returning', 'heard again') : null;
  }
}

/** Counted by this leader's own clock alone, anew after each election: wall clocks of two leaders may be hours apart. */
function isCalm(world: HaWorld, node: Node, calm_since_ms: number | undefined): boolean {
  if (!world.heard.has(node.uuid) || isSuspect(world, node.uuid)) return false;
  return calm_since_ms !== undefined && world.now_ms - calm_since_ms >= calmMs(world.ha);
}

/** Failovers and starts, highest priority first, within the limits per node. */
function repair(world: HaWorld, storm: boolean, held: string[]): readonly HaAction[] {
  const nodes = new Map(world.nodes.map((node) => [node.uuid, node]));
  const well = world.nodes.filter((node) => isWell(world, node));
  const starts = new Map<string, number>();
  const count = (node: string, by: number) => starts.set(node, (starts.get(node) ?? 0) + by);
  for (const instance of world.instances) if (world.busy.has(instance.uuid)) count(instance.owner.node, 1);
  // Placement is not known yet for these: they may together use what the well nodes have left.
  let placed = 0;
  const free = () =>
    well.reduce((sum, node) => sum + Math.max(0, max_starts_per_node - (starts.get(node.uuid) ?? 0)), 0);
  const actions: HaAction[] = [];
  const queue = [...world.instances].sort(
    (a, b) => instancePriority(b) - instancePriority(a) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  );
  for (const instance of queue) {
    const owner = nodes.get(instance.owner.node);
    if (owner === undefined || instance.admin_state !== 'up' || world.busy.has(instance.uuid)) continue;
    if (isWaiting(world, instance)) continue;
    const wanted = actionFor(world, instance, owner, storm, held);
    if (wanted === null) continue;
    const on = wanted.type === 'failover' ? wanted.target : instance.owner.node;
    if (on === null) {
      if (placed >= free()) continue;
      placed += 1;
    } else {
      if ((starts.get(on) ?? 0) >= max_starts_per_node) continue;
      count(on, 1);
    }
    actions.push(wanted);
  }
  return actions;
}

function isWaiting(world: HaView, instance: Instance): boolean {
  const failure = world.failures.get(instance.uuid);
  return failure !== undefined && world.now_ms - failure.at_ms < retryDelayMs(failure.count);
}

type Repair = Extract<HaAction, { type: 'failover' | 'start' }>;

function actionFor(
  world: HaWorld,
  instance: Instance,
  owner: Node,
  storm: boolean,
  held: string[],
): Repair | null {
  const heard = world.heard.get(owner.uuid);
  // A boot that is heard but not logged yet owns nothing and can be given nothing.
  if (heard !== undefined && heard.boot > owner.boot) return null;
  const evidence = evidenceFor(world, owner.uuid, instance.owner.boot);
  if (evidence === null)
    return isWell(world, owner) && needsStart(world, instance, owner) ? start(instance, owner) : null;
  const reason = `${evidence.kind}: ${evidence.text}`;
  if (evidence.kind === 'boot' && isWell(world, owner)) {
    return { type: 'failover', instance: instance.uuid, target: owner.uuid, reason };
  }
  // Silence proves nothing of a guest that nobody ends on the silent host.
  if (evidence.kind === 'horizon' && !instance.guarded) return null;
  if (!isMovable(world, instance, owner)) return null;
  if (storm && evidence.kind === 'horizon') {
    held.push(instance.uuid);
    return null;
  }
  return { type: 'failover', instance: instance.uuid, target: null, reason };
}

function isMovable(world: HaWorld, instance: Instance, owner: Node): boolean {
  const disks = world.disks.filter((disk) => instance.disks.includes(disk.uuid));
  const group = world.groups.find((candidate) => candidate.uuid === owner.group) ?? null;
  // A disk that the configuration does not know is no reason to believe that it is reachable.
  if (disks.length !== instance.disks.length) return false;
  return isProtected(world.cluster, instance, disks, group, world.wall_s);
}

function start(instance: Instance, owner: Node): Repair {
  return { type: 'start', instance: instance.uuid, reason: `should run on ${owner.name} and does not` };
}

function needsStart(world: HaWorld, instance: Instance, owner: Node): boolean {
  const live = world.live.get(owner.uuid);
  return live !== undefined && runsNot(instance, live, world.now_ms, world.job_ended_at_ms);
}
