/**
 * Removes a disk that a lost node made on storage which other nodes reach too: on one of those, as a step of the same
 * op. Otherwise the file would stay for ever if the lost node were removed from the cluster before it is back.
 *
 * Safe, because evidence against the node is at hand, the same as ended a step of it: its lease is over, so that it begins
 * nothing that makes disks or starts guests, and installing programs and guarded guests have ended or stand still. The
 * path holds the disk's uuid, which nobody else is ever given: whatever is there is this job's, and its instance goes with
 * this very undo. So does the data of an unguarded guest that may run on there: it is ended when its host is back. What a
 * lost lease does not end is the making of the file itself: a host that was frozen in it makes the file late, and removes
 * it by itself when it is back as a member (node/leftovers.ts).
 *
 * Resumable by any leader: each try is a recorded step of its own, found again by its name; a file that is not there is
 * fine.
 */
import { cluster_key } from '../config/keys.ts';
import type { Node, Step } from '../config/model.ts';
import { isReachableEverywhere } from '../config/protected.ts';
import { argsHash, toPlain } from './args-hash.ts';
import { nodeName } from './op-context.ts';
import { CommandRefused } from './op-result.ts';
import type { Session } from './session.ts';
import type { NodeVerbs } from './types.ts';
import { callUndo } from './undo-call.ts';

/** Nodes that are asked before it is given up. */
const nodes_tried = 3;
/** How often it is looked whether a node was heard: a new leader has heard of nobody yet. */
const hear_pause_ms = 100;

/** Whether taking this step back can be left to another node than its own. */
export function canUndoElsewhere({ undo }: Step): boolean {
  if (undo?.verb !== 'disk.remove') return false;
  const { template } = undo.args as NodeVerbs['disk.remove']['args'];
  return isReachableEverywhere({ disk_template: template }, []);
}

/** null: the disk is removed, and that is recorded. Otherwise why not. */
export async function removeElsewhere(session: Session, step: Step): Promise<string | null> {
  for (;;) {
    const tries = stepsOfOp(session, step).filter((each) => each.name === nameOf(step));
    if (tries.some((each) => each.status === 'done')) return null;
    const begun = tries.find((each) => each.status === 'open');
    if (begun === undefined && tries.length >= nodes_tried) return problemOf(session, tries);
    try {
      const open = begun ?? (await beginTry(session, step, tries));
      if (open === null) return problemOf(session, tries);
      await finishTry(session, open);
    } catch (error) {
      // The node was removed meanwhile; or the job is not ours any more, which the caller finds out too.
      if (!(error instanceof CommandRefused)) throw error;
      return error.message;
    }
  }
}

/** No other step of the op is called so: it has the number of the one that it takes back. */
const nameOf = (step: Step): string => `undo-${step.step}-elsewhere`;

function stepsOfOp(session: Session, { job, op }: Step): readonly Step[] {
  return session.ports.state.list('steps').filter((each) => each.job === job && each.op === op);
}

/** Why the last try failed: from the log, since an earlier leader may have made it. */
function problemOf(session: Session, tries: readonly Step[]): string {
  const last = tries.toSorted((a, b) => a.step - b.step).at(-1);
  if (last === undefined) return 'no other node of its group is well';
  return `${nodeName(session.ports.state, last.node)}: ${(last.result as { error: string }).error}`;
}

/** null: there is no node to ask. */
async function beginTry(session: Session, step: Step, tries: readonly Step[]): Promise<Step | null> {
  const node = await findNode(session, step.node, new Set(tries.map((each) => each.node)));
  if (node === null) return null;
  const { job, op } = step;
  const args = toPlain(step.undo!.args);
  const begin = {
    job,
    op,
    step: Math.max(...stepsOfOp(session, step).map((each) => each.step)) + 1,
    name: nameOf(step),
    node: node.uuid,
    verb: 'disk.remove',
    args,
    args_hash: argsHash('disk.remove', node.uuid, args),
    undo: null,
  };
  await session.propose({ type: 'step-begin', time: session.ports.wall_s(), step: begin });
  return { ...begin, status: 'open', result: null };
}

async function finishTry(session: Session, open: Step): Promise<void> {
  const { job, op, step, node, args } = open;
  const key = { job, op, step, undo: false };
  const { index } = session.ports.state;
  const outcome = await callUndo(session, node, key, index, 'disk.remove', args);
  await session.propose({
    type: 'step-end',
    time: session.ports.wall_s(),
    job,
    op,
    step,
    begin: null,
    status: outcome.status,
    result: outcome.status === 'done' ? toPlain(outcome.result) : { error: outcome.why },
    commands: [],
  });
}

/** The first by name of the lost node's group (storage may be shared within one only) that is well. */
async function findNode(session: Session, lost: string, asked: ReadonlySet<string>): Promise<Node | null> {
  const { ports } = session;
  const { lease_ms } = ports.state.get('cluster', cluster_key)!.ha;
  const isHeard = ({ uuid }: Node): boolean => {
    const age_ms = ports.live(uuid)?.age_ms ?? Number.POSITIVE_INFINITY;
    return age_ms <= lease_ms && ports.evidence(uuid) === null;
  };
  for (let waited_ms = 0; ; waited_ms += hear_pause_ms) {
    const group = ports.state.get('nodes', lost)?.group;
    const able = ports.state
      .list('nodes')
      .filter((node) => node.uuid !== lost && !asked.has(node.uuid))
      .filter((node) => group === undefined || node.group === group)
      .filter((node) => node.vm_capable && !node.offline && node.health === 'member')
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    const heard = able.find(isHeard);
    if (heard !== undefined) return heard;
    if (able.length === 0 || waited_ms >= lease_ms) return null;
    await session.pause(hear_pause_ms);
  }
}
