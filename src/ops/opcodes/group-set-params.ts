/** Changes parameters of a node group: so far its instance policy and how it is chosen. */

import type { Command } from '../../config/commands.ts';
import type { NodeGroup } from '../../config/model.ts';
import type { RunContext } from '../op-context.ts';
import { name, nullable, oneOf, only, parser, wrongInput } from '../params.ts';
import { newViolators, violators } from '../policy-check.ts';
import { summary } from '../summary.ts';
import type { Opcode } from '../types.ts';
import { changedGroupIPolicy, type IPolicyChange, ipolicyChange } from './ipolicy-change.ts';
import { cluster_shared, clusterOf, findGroup, groupLock, needGroup } from './lookup.ts';

const parse = parser({
  group_name: name,
  alloc_policy: nullable(oneOf('preferred', 'last_resort', 'unallocable')),
  ipolicy: nullable(ipolicyChange),
  ndparams: only(null, {}),
  diskparams: only(null, {}),
  hv_state: only(null, {}),
  disk_state: only(null, {}),
});

interface GroupParams {
  readonly group: string;
  readonly alloc_policy: NodeGroup['alloc_policy'] | null;
  readonly ipolicy: IPolicyChange | null;
}

type Changes = Extract<Command, { type: 'group-set' }>['changes'];

export const groupSetParams: Opcode<GroupParams> = {
  id: 'OP_GROUP_SET_PARAMS',
  version: 1,
  parse(input) {
    const { group_name, alloc_policy, ipolicy } = parse(input);
    if (alloc_policy === null && ipolicy === null)
      throw wrongInput(
        'OP_GROUP_SET_PARAMS: nothing to change: expected at least one of alloc_policy, ipolicy',
      );
    return { group: group_name, alloc_policy, ipolicy };
  },
  summary: (given) => summary('OP_GROUP_SET_PARAMS', given.group),
  locks: (given, state) => [
    cluster_shared,
    groupLock(findGroup(state, given.group)?.uuid ?? given.group, true),
  ],
  async run(ctx: RunContext, given) {
    const plan = await ctx.learn('plan', () => {
      const group = needGroup(ctx.state, given.group);
      const changes = changesOf(group, given);
      const cluster = clusterOf(ctx.state);
      const after = violators(ctx.state, cluster, (uuid) =>
        uuid === group.uuid ? { ...group, ...changes } : ctx.state.get('groups', uuid),
      );
      return { uuid: group.uuid, changes, warning: newViolators(violators(ctx.state, cluster), after) };
    });
    await ctx.commit('set', [
      { type: 'group-set', time: ctx.wall(), uuid: plan.uuid, changes: plan.changes },
    ]);
    if (plan.warning !== null) await ctx.log(plan.warning, 'warning');
    return [
      ...(given.alloc_policy === null ? [] : [['alloc_policy', given.alloc_policy] as const]),
      ...Object.entries(given.ipolicy ?? {}).map(([key, value]) => [`ipolicy/${key}`, value] as const),
    ];
  },
};

function changesOf(group: NodeGroup, given: GroupParams): Changes {
  return {
    ...(given.alloc_policy === null ? {} : { alloc_policy: given.alloc_policy }),
    ...(given.ipolicy === null ? {} : { ipolicy: changedGroupIPolicy(group.ipolicy ?? {}, given.ipolicy) }),
  };
}
