/** Ends the cluster: only when it has no instances and only one node. The job that does it goes with it. */

import type { RunContext } from '../op-context.ts';
import { parser } from '../params.ts';
import { summary } from '../summary.ts';
import { type Opcode, OpError } from '../types.ts';
import { clusterOf } from './lookup.ts';

const parse = parser({});

export const clusterDestroy: Opcode<Record<never, never>> = {
  id: 'OP_CLUSTER_DESTROY',
  version: 1,
  parse: (input) => parse(input),
  summary: () => summary('OP_CLUSTER_DESTROY', null),
  locks: () => [{ name: 'cluster', exclusive: true }],
  async run(ctx: RunContext) {
    clusterOf(ctx.state);
    const instances = ctx.state.list('instances').map((instance) => instance.name);
    if (instances.length > 0)
      throw refused(`the cluster still has ${instances.length} instances: ${some(instances)}`);
    const nodes = ctx.state
      .list('nodes')
      .map((node) => node.name)
      .sort();
    if (nodes.length > 1)
      throw refused(`the cluster still has ${nodes.length} nodes: ${some(nodes)}; remove all but one first`);
    await ctx.commit('destroy', [{ type: 'cluster-destroy', time: ctx.wall() }]);
    return null;
  },
};

function refused(message: string): OpError {
  return new OpError('OpPrereqError', message, 'wrong_state');
}

function some(names: readonly string[]): string {
  return names.length > 5 ? `${names.slice(0, 5).join(', ')}, ...` : names.join(', ');
}
