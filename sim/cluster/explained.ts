/**
 * O6, what does not run is explained: at the end each instance that is declared up and runs nowhere is asked about as an
 * operator would, `instance why` of the leader's agent. Its node must be gone for good, and the answer must say so and
 * why nobody has started it elsewhere. Nothing is excused for any other reason.
 */
import { Breach, type SimCluster } from './cluster.ts';

const answer_ms = 30_000;
/** Words of src/node/instance-why.ts for what keeps an instance from being started on another node. */
const reasons = [
  /^not guarded: /,
  /^its disks .* are on its node alone/,
  /^repair may not/,
  /^repair tried it last/,
  /^node \S+ was not seen/,
];

/** @throws Breach */
export async function checkExplained(cluster: SimCluster): Promise<void> {
  const leader = cluster.leader();
  if (leader === null) throw new Breach('O6: nobody leads who could be asked');
  const { state } = leader.member;
  for (const { name, uuid, admin_state, owner } of state.list('instances')) {
    if (admin_state !== 'up' || cluster.oracles.hostsRunning(uuid).size > 0) continue;
    const node = state.get('nodes', owner.node)?.name ?? '?';
    const asked = leader.host.agent!.call('instance.why', { instance: name });
    const { lines } = (await cluster.done(`why ${name}`, answer_ms, asked)) as { lines: readonly string[] };
    const wrong = unexplained(
      node,
      cluster.hosts.some((host) => host.name === node && host.lost),
      lines,
    );
    if (wrong !== null)
      throw new Breach(`O6: ${name} is up and runs nowhere: ${wrong}; why: ${lines.join(' | ')}`);
    cluster.marks.hit('standstill explained');
  }
}

/** What an explanation lacks; null: nothing. @param lost whether the instance's node is gone for good */
export function unexplained(node: string, lost: boolean, lines: readonly string[]): string | null {
  if (!lost) return `${node} is there`;
  if (!lines.some((line) => line.startsWith(`node ${node} is lost: `)))
    return `nothing says that ${node} is lost`;
  if (!lines.some((line) => reasons.some((reason) => reason.test(line))))
    return 'nothing says why it is not started elsewhere';
  return null;
}
