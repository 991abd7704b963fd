/**
 * Changes a node's roles and parameters. `offline`, `drained` and `master_candidate` exclude each other; setting one
 * clears the others, as Ganeti does.
 */
import type { Command } from '../../config/commands.ts';
import type { Node, Params } from '../../config/model.ts';
import { checkIp } from '../../config/validate.ts';
import type { RunContext } from '../op-context.ts';
import { flag, name, nullable, only, optional, params, parser, wrongInput } from '../params.ts';
import { summary } from '../summary.ts';
import { type Opcode, OpError } from '../types.ts';
import { cluster_shared, findNode, needNode, node_ref, nodeLock, refOf } from './lookup.ts';
import { changedParams, checkNdParams, mergeParams } from './param-check.ts';

const parse = parser({
  ...node_ref,
  force: optional(flag, false),
  hv_state: only(null, {}),
  disk_state: only(null, {}),
  master_candidate: nullable(flag),
  offline: nullable(flag),
  drained: nullable(flag),
  auto_promote: { ...optional(flag, false), unused: true },
  master_capable: nullable(flag),
  vm_capable: nullable(flag),
  secondary_ip: nullable(name),
  ndparams: nullable(params),
  powered: only(null),
});

const flags = ['master_candidate', 'offline', 'drained', 'master_capable', 'vm_capable'] as const;

interface NodeParams extends Record<(typeof flags)[number], boolean | null> {
  readonly node: string;
  readonly force: boolean;
  readonly secondary_ip: string | null;
  readonly ndparams: Params | null;
}
type Changes = Extract<Command, { type: 'node-set' }>['changes'];

export const nodeSetParams: Opcode<NodeParams> = {
  id: 'OP_NODE_SET_PARAMS',
  version: 1,
  parse(input) {
    const { node_name, node_uuid, ...rest } = parse(input);
    const given: NodeParams = {
      ...rest,
      node: refOf('node_name', node_name, node_uuid),
      ndparams: rest.ndparams && checkNdParams(rest.ndparams),
    };
    const roles = (['offline', 'drained', 'master_candidate'] as const).filter(
      (role) => given[role] === true,
    );
    if (roles.length > 1)
      throw wrongInput(
        `OP_NODE_SET_PARAMS: ${roles.join(' and ')} exclude each other: expected at most one to be true`,
      );
    const wrong = given.secondary_ip === null ? null : checkIp(given.secondary_ip);
    if (wrong !== null) throw wrongInput(`OP_NODE_SET_PARAMS: secondary_ip: ${wrong}`);
    if (
      flags.every((each) => given[each] === null) &&
      given.secondary_ip === null &&
      given.ndparams === null
    ) {
      throw wrongInput(
        `OP_NODE_SET_PARAMS: nothing to change: expected at least one of ${flags.join(', ')}, secondary_ip, ndparams`,
      );
    }
    return given;
  },
  summary: (given) => summary('OP_NODE_SET_PARAMS', given.node),
  locks: (given, state) => [cluster_shared, nodeLock(findNode(state, given.node)?.uuid ?? given.node, true)],
  async run(ctx: RunContext, given) {
    const plan = await ctx.learn('plan', () => {
      const node = needNode(ctx.state, given.node);
      checkInstances(ctx, node, given);
      return { uuid: node.uuid, name: node.name, changes: changesOf(node, given) };
    });
    await ctx.commit('set', [{ type: 'node-set', time: ctx.wall(), uuid: plan.uuid, changes: plan.changes }]);
    return [
      ...flags.filter((each) => given[each] !== null).map((each) => [each, given[each]] as const),
      ...(given.secondary_ip === null ? [] : [['secondary_ip', given.secondary_ip] as const]),
      ...changedParams('nd', given.ndparams ?? {}),
    ];
  },
};

function checkInstances(ctx: RunContext, node: Node, given: NodeParams): void {
  const owned = ctx.state.list('instances').filter((instance) => instance.owner.node === node.uuid);
  const refuse = (what: string, names: readonly string[], advice: string): never => {
    const shown = names.length > 5 ? `${names.slice(0, 5).join(', ')}, ...` : names.join(', ');
    throw new OpError('OpPrereqError', `node ${node.name} ${what} (${shown}); ${advice}`, 'wrong_state');
  };
  if (given.vm_capable === false && owned.length > 0) {
    refuse(
      'owns instances',
      owned.map((each) => each.name),
      'move or remove them before it is made not vm_capable',
    );
  }
  const up = owned.filter((instance) => instance.admin_state === 'up').map((each) => each.name);
  if (given.offline === true && up.length > 0 && !given.force) {
    refuse(
      'owns instances that should run',
      up,
      `being marked offline neither stops nor moves them. Fail them over first (skein instance failover NAME), or use --force`,
    );
  }
}

function changesOf(node: Node, given: NodeParams): Changes {
  return {
    ...Object.fromEntries(flags.filter((each) => given[each] !== null).map((each) => [each, given[each]])),
    ...(given.secondary_ip === null ? {} : { secondary_ip: given.secondary_ip }),
    ...(given.ndparams === null ? {} : { ndparams: mergeParams(node.ndparams, given.ndparams) }),
  };
}
