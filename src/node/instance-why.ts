/**
 * Why an instance is where it is, and why nobody starts it where it does not run: the first line says how it stands,
 * each other one names a reason. Pure. It must name every rule that keeps repair from starting what is declared up on a
 * node that is gone (docs/ha.md, "Repair"); an unexplained standstill is a bug.
 */
import type { StateView } from '../config/api.ts';
import { unseenNodes } from '../config/apply-recover.ts';
import { meta_key } from '../config/keys.ts';
import type { Instance, Job, JobOp, Node } from '../config/model.ts';
import { autorepairPolicy, isReachableEverywhere, permitsFailover } from '../config/protected.ts';

const not_guarded =
  'not guarded: when its node falls silent it waits for it; what decides is how things stood when it was started (skein instance reboot starts it anew)';

/** @param time Unix seconds, for suspensions that end */
export function whyLines(state: StateView, instance: Instance, time: number): readonly string[] {
  const { owner } = instance;
  const node = state.get('nodes', owner.node);
  const lines = [
    `${instance.name}: admin state ${instance.admin_state}, owned by ${node?.name ?? owner.node} (boot ${owner.boot}, epoch ${owner.epoch})`,
  ];
  if (node) lines.push(...ofNode(state, node));
  if (!instance.guarded) lines.push(not_guarded);
  return [...lines, ...staying(state, instance, node, time)];
}

function ofNode(state: StateView, node: Node): readonly string[] {
  const { name, health, health_reason } = node;
  const word = unseenNodes(state.get('meta', meta_key)?.recovery).get(node.uuid);
  return [
    ...(health === 'member' ? [] : [`node ${name} is ${health}: ${health_reason}`]),
    ...(word === false
      ? [
          `node ${name} was not seen since the cluster was recovered: nothing of it is started elsewhere until it follows or is off (skein cluster recover --off ${name})`,
        ]
      : []),
    ...(node.offline ? [`node ${name} is marked offline: repair starts nothing there`] : []),
    ...(node.vm_capable ? [] : [`node ${name} is not vm_capable: repair starts nothing there`]),
  ];
}

/** What keeps it from being started on another node. */
function staying(
  state: StateView,
  instance: Instance,
  node: Node | undefined,
  time: number,
): readonly string[] {
  const lines: string[] = [];
  const disks = state.list('disks').filter((disk) => instance.disks.includes(disk.uuid));
  if (!isReachableEverywhere(instance, disks))
    lines.push(`its disks (${instance.disk_template}) are on its node alone: it is started nowhere else`);
  const cluster = state.get('cluster', 'cluster');
  const group = (node && state.get('groups', node.group)) ?? null;
  if (cluster && !permitsFailover(autorepairPolicy(cluster, group, instance, time)))
    lines.push(
      'repair may not start it elsewhere: the autorepair policy, of a tag or of the cluster, permits no failover',
    );
  return [...lines, ...lastRepair(state, instance)];
}

/** What repair tried last, if it failed: no node has the memory, say. It tries again, at most 5 minutes later. */
function lastRepair(state: StateView, { name }: Instance): readonly string[] {
  let last: { readonly job: Job; readonly op: JobOp } | null = null;
  for (const job of state.list('jobs')) {
    const op = job.ops.find(({ input }) => input['skein_repair'] === true && input['instance_name'] === name);
    if (op && job.id > (last?.job.id ?? 0)) last = { job, op };
  }
  if (last?.op.status !== 'error') return [];
  return [`repair tried it last with job ${last.job.id}, which failed: ${JSON.stringify(last.op.result)}`];
}
