/** Sleeps, on the leader and on nodes; for tests and for putting a pause between jobs. With duration 0 the cheapest job there is. */

import type { RunContext } from '../op-context.ts';
import { flag, integer, listOf, name, nullable, number, optional, parser } from '../params.ts';
import { summary } from '../summary.ts';
import type { Opcode } from '../types.ts';
import { cluster_shared, findNode, needNode, nodeLock } from './lookup.ts';

const parse = parser({
  duration: number(0, 86_400),
  on_master: optional(flag, true),
  on_nodes: optional(listOf(name, 1_000), []),
  on_node_uuids: nullable(listOf(name, 1_000)),
  repeat: optional(integer(0, 1_000), 0),
  interruptible: { ...optional(flag, false), unused: true },
  no_locks: optional(flag, true),
});

interface DelayParams {
  /** Seconds. */
  readonly duration: number;
  readonly on_master: boolean;
  readonly nodes: readonly string[];
  readonly repeat: number;
  readonly no_locks: boolean;
}

export const testDelay: Opcode<DelayParams> = {
  id: 'OP_TEST_DELAY',
  version: 1,
  parse(input) {
    const { on_nodes, on_node_uuids, ...rest } = parse(input);
    return { nodes: on_node_uuids ?? on_nodes, ...rest };
  },
  summary: (given) => summary('OP_TEST_DELAY', String(given.duration)),
  locks(given, state) {
    if (given.no_locks) return [cluster_shared];
    const nodes = given.nodes.map((ref) => findNode(state, ref)?.uuid ?? ref);
    return [cluster_shared, ...nodes.map((uuid) => nodeLock(uuid, true))];
  },
  async run(ctx: RunContext, given) {
    const nodes =
      given.nodes.length === 0
        ? []
        : await ctx.learn('nodes', () => given.nodes.map((ref) => needNode(ctx.state, ref).uuid));
    const duration_ms = given.duration * 1000;
    for (let round = 0; round < Math.max(1, given.repeat); round++) {
      if (given.repeat > 0) await ctx.log(`Test delay iteration ${round}/${given.repeat - 1}`);
      if (given.on_master && duration_ms > 0) await ctx.sleep(`sleep-${round}`, duration_ms);
      await Promise.all(nodes.map((node) => ctx.step(`delay-${round}`, node, 'test.delay', { duration_ms })));
    }
    return null;
  },
};
