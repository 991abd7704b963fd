/**
 * What an evacuation of a node would do, for the job and for whoever asks before: which instances leave, to where, and
 * what keeps it from beginning. Placement alone chooses the nodes.
 */
import type { StateView } from '../config/api.ts';
import type { Node } from '../config/model.ts';
import { isReachableEverywhere } from '../config/protected.ts';
import type { EvacuationPlan } from '../placement/evacuation-plan.ts';
import { needNode } from './opcodes/lookup.ts';
import { needUsableNode } from './opcodes/pick-node.ts';
import { wrongInput } from './params.ts';
import type { PlacementDesk } from './placement-desk.ts';
import { OpError } from './types.ts';

export const evacuation_modes = ['primary-only', 'secondary-only', 'all'] as const;
export type EvacuationMode = (typeof evacuation_modes)[number];

export interface EvacuationAsk {
  /** Name or uuid, as the next. */
  readonly node: string;
  /** null: placement chooses. */
  readonly to: string | null;
  readonly mode: EvacuationMode;
}

export interface NodeEvacuation extends EvacuationPlan {
  readonly node: Pick<Node, 'name' | 'uuid'>;
}

/** @throws OpError for nodes that are not there, or will not do */
export async function planEvacuation(
  state: StateView,
  report: PlacementDesk['report'],
  ask: EvacuationAsk,
): Promise<NodeEvacuation> {
  const { name, uuid } = needNode(state, ask.node);
  const to = ask.to === null ? null : targetOf(state, uuid, ask.to);
  const node = { name, uuid };
  // No template of this version keeps a copy on a second node.
  if (ask.mode === 'secondary-only') return { node, moves: [], stuck: [] };
  const { moves, stuck } = await report({ type: 'evacuation', node: uuid, to: to?.uuid ?? null });
  const fixed = moves.filter(({ instance }) => !mayFailOver(state, instance.uuid));
  return {
    node,
    moves: moves.filter((move) => !fixed.includes(move)),
    stuck: [
      ...stuck,
      ...fixed.map(({ instance }) => ({
        instance,
        reason: 'its disks are not on storage that every node reaches',
      })),
    ],
  };
}

function targetOf(state: StateView, from: string, ref: string): Node {
  const node = needNode(state, ref);
  const source = needNode(state, from);
  if (node.uuid === from) throw wrongInput(`node ${node.name} is the one to be evacuated: name another`);
  if (node.group !== source.group) {
    throw new OpError(
      'OpPrereqError',
      `node ${node.name} is in another group than node ${source.name}: an evacuation stays in the group`,
      'wrong_input',
    );
  }
  return needUsableNode(node);
}

function mayFailOver(state: StateView, uuid: string): boolean {
  const instance = state.get('instances', uuid);
  if (instance === undefined) return true;
  const disks = instance.disks.flatMap((disk) => state.get('disks', disk) ?? []);
  return isReachableEverywhere(instance, disks);
}

const most_named = 10;

/** Why nothing is to begin; null: it may. */
export function evacuationRefusal({ moves, stuck }: EvacuationPlan, allow_restart: boolean): OpError | null {
  if (stuck.length > 0) {
    const list = listed(stuck.map(({ instance, reason }) => `${instance.name} (${reason})`));
    return new OpError('OpExecError', `Unable to evacuate instances ${list}`, 'wrong_state');
  }
  const running = moves.filter(({ restarts }) => restarts);
  if (running.length === 0 || allow_restart) return null;
  return restartRefusal(running.map(({ instance }) => instance.name));
}

/** @param names of instances that run */
export function restartRefusal(names: readonly string[]): OpError {
  return new OpError(
    'OpPrereqError',
    `live migration is not there yet, and these instances run: ${listed(names)}; to have them stopped and started elsewhere: --allow-restart (allow_restart)`,
    'wrong_state',
  );
}

function listed(texts: readonly string[]): string {
  const shown = texts.slice(0, most_named).join(', ');
  return texts.length > most_named ? `${shown} and ${texts.length - most_named} more` : shown;
}
