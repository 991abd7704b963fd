/**
 * What the verbs of a node may use.
 */
import type { StateView } from '../../config/api.ts';
import type { Instance } from '../../config/model.ts';
import type { NodeVerbs, Progress, VerbName } from '../../ops/types.ts';
import type { Drivers } from '../drivers.ts';
import type { Measures } from '../host.ts';
import type { Env } from '../real-env.ts';

export interface ActionWorld {
  readonly env: Env;
  readonly state: StateView;
  readonly drivers: Drivers;
  readonly measures: Measures;
  readonly node_uuid: string;
  readonly boot: number;
  readonly log_dir: string;
  readonly version: string;
  /** null: this host may start guests now. Otherwise why not (no live lease, or its replica is behind the grant). */
  mayStart(): string | null;
  /** State hash as of an index. */
  hash(): { readonly index: number; readonly hash: string };
}

export interface ActionContext {
  readonly signal: AbortSignal;
  progress(progress: Progress): void;
}

export type Actions = {
  readonly [V in VerbName]: (
    world: ActionWorld,
    args: NodeVerbs[V]['args'],
    ctx: ActionContext,
  ) => Promise<NodeVerbs[V]['result']>;
};

export function instanceOf(world: ActionWorld, uuid: string): Instance {
  const instance = world.state.get('instances', uuid);
  if (!instance) throw new Error(`instance ${uuid} does not exist`);
  return instance;
}
