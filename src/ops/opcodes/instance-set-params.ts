/** Changes an instance's parameters. What the guest runs with changes at its next start. */

import type { StateView } from '../../config/api.ts';
import type { Command } from '../../config/commands.ts';
import type { Instance, Params } from '../../config/model.ts';
import { fillBeParams } from '../../config/params.ts';
import type { RunContext } from '../op-context.ts';
import { flag, name, nullable, only, optional, params, parser, wrongInput } from '../params.ts';
import { obeyPolicy, policySubjectOf, violationsIn } from '../policy-check.ts';
import { summary } from '../summary.ts';
import { type Opcode, OpError } from '../types.ts';
import { clusterOf, groupOfNode, instance_ref, instanceLocks, needInstance, refOf } from './lookup.ts';
import { changedParams, checkBeParams, checkHvParams, mergeParams } from './param-check.ts';
import { admitGrowth } from './pick-node.ts';

const later = 'changing the disks or NICs of an instance comes with a later version';
const parse = parser({
  ...instance_ref,
  force: { ...optional(flag, false), unused: true },
  force_variant: { ...optional(flag, false), unused: true },
  ignore_ipolicy: optional(flag, false),
  nics: { ...only([]), expected: `[]: ${later}` },
  disks: { ...only([]), expected: `[]: ${later}` },
  beparams: optional(params, {}),
  runtime_mem: only(null),
  hvparams: optional(params, {}),
  disk_template: only(null),
  ext_params: only({}),
  file_driver: only(null),
  file_storage_dir: only(null),
  pnode: only(null),
  pnode_uuid: only(null),
  remote_node: only(null),
  remote_node_uuid: only(null),
  iallocator: only(null),
  os_name: nullable(name),
  osparams: nullable(params),
  osparams_private: only(null, {}),
  wait_for_sync: { ...optional(flag, true), unused: true },
  offline: nullable(flag),
  conflicts_check: { ...optional(flag, true), unused: true },
  hotplug: { ...optional(flag, true), unused: true },
  hotplug_if_possible: { ...optional(flag, false), unused: true },
  instance_communication: only(null),
});

interface SetParams {
  readonly instance: string;
  readonly beparams: Params;
  readonly hvparams: Params;
  readonly osparams: Params;
  readonly os_name: string | null;
  readonly offline: boolean | null;
  readonly ignore_ipolicy: boolean;
}

type Changes = Extract<Command, { type: 'instance-set' }>['changes'];

export const instanceSetParams: Opcode<SetParams> = {
  id: 'OP_INSTANCE_SET_PARAMS',
  version: 1,
  parse(input) {
    const { instance_name, instance_uuid, osparams, ...rest } = parse(input);
    const given: SetParams = {
      ...rest,
      instance: refOf('instance_name', instance_name, instance_uuid),
      osparams: osparams ?? {},
      beparams: checkBeParams(rest.beparams),
    };
    const nothing = [given.beparams, given.hvparams, given.osparams].every(
      (set) => Object.keys(set).length === 0,
    );
    if (nothing && given.os_name === null && given.offline === null) {
      throw wrongInput(
        'OP_INSTANCE_SET_PARAMS: nothing to change: expected at least one of beparams, hvparams, osparams, os_name, offline',
      );
    }
    return given;
  },
  summary: (given) => summary('OP_INSTANCE_SET_PARAMS', given.instance),
  locks: (given, state) => instanceLocks(state, given.instance),
  async run(ctx: RunContext, given) {
    const plan = await ctx.learn('plan', async () => {
      const instance = needInstance(ctx.state, given.instance);
      const hvparams = checkHvParams(instance.hypervisor, given.hvparams);
      const changes = changesOf(instance, given, hvparams);
      return {
        uuid: instance.uuid,
        changes,
        ignored: checkPolicy(ctx.state, instance, changes, given.ignore_ipolicy),
        hvparams,
        up: instance.admin_state === 'up',
        warning: await growthWarning(ctx, instance, changes),
      };
    });
    if (plan.warning) await ctx.log(plan.warning, 'warning');
    await ctx.commit('set', [
      { type: 'instance-set', time: ctx.wall(), uuid: plan.uuid, if_epoch: null, changes: plan.changes },
    ]);
    if (plan.ignored) await ctx.log(plan.ignored, 'warning');
    const restart = [given.beparams, given.hvparams].some((set) => Object.keys(set).length > 0);
    if (plan.up && restart)
      await ctx.log(
        'the running guest has the new parameters after its next start (reboot type full)',
        'warning',
      );
    return [
      ...changedParams('be', given.beparams),
      ...changedParams('hv', plan.hvparams),
      ...changedParams('os', given.osparams),
      ...(given.os_name === null ? [] : [['os', given.os_name]]),
      ...(given.offline === null ? [] : [['admin_state', given.offline ? 'offline' : 'down']]),
    ];
  },
};

/** Of an instance that is up and is to have more memory than now. */
function growthWarning(ctx: RunContext, before: Instance, { beparams }: Changes): Promise<string> {
  if (beparams === undefined || before.admin_state !== 'up') return Promise.resolve('');
  const cluster = clusterOf(ctx.state);
  const grown = { ...before, beparams };
  const grows = fillBeParams(cluster, grown).maxmem > fillBeParams(cluster, before).maxmem;
  return grows ? admitGrowth(ctx, grown) : Promise.resolve('');
}

/**
 * Only a change of backend parameters is looked at: what is of old, and stays, is for `cluster verify` to say. Both
 * minmem and maxmem have to fit.
 */
function checkPolicy(
  state: StateView,
  instance: Instance,
  { beparams }: Changes,
  ignore: boolean,
): string | null {
  if (beparams === undefined) return null;
  const cluster = clusterOf(state);
  const changed = { ...instance, beparams };
  const subject = policySubjectOf(state, cluster, changed);
  const least = { ...subject, memory_mib: fillBeParams(cluster, changed).minmem };
  const group = groupOfNode(state, instance.owner.node);
  const violations = [...violationsIn(cluster, group, subject), ...violationsIn(cluster, group, least)];
  return obeyPolicy(instance.name, [...new Set(violations)], ignore);
}

function changesOf(instance: Instance, given: SetParams, hvparams: Params): Changes {
  const state = instance.admin_state;
  if (given.offline === true && state === 'up') {
    throw new OpError(
      'OpPrereqError',
      `instance ${instance.name} is up: expected it to be down before it is marked offline`,
      'wrong_state',
    );
  }
  if (given.offline === false && state !== 'offline') {
    throw new OpError('OpPrereqError', `instance ${instance.name} is ${state}, not offline`, 'wrong_state');
  }
  const any = (set: Params): boolean => Object.keys(set).length > 0;
  return {
    ...(any(given.beparams) ? { beparams: mergeParams(instance.beparams, given.beparams) } : {}),
    ...(any(hvparams) ? { hvparams: mergeParams(instance.hvparams, hvparams) } : {}),
    ...(any(given.osparams) ? { osparams: mergeParams(instance.osparams, given.osparams) } : {}),
    ...(given.os_name === null ? {} : { os: given.os_name }),
    ...(given.offline === null
      ? {}
      : { admin_state: given.offline ? 'offline' : 'down', admin_state_source: 'admin' as const }),
  };
}
