/**
 * Conditions of scenarios in words, and what they mean in a simulated cluster:
 *
 *   a node leads | n1 leads | n2|n3 leads           established, and not standing still
 *   web runs on n1 | web runs on n2|n3 | web runs nowhere      its virtual CPUs, as the hosts have it
 *   web belongs to n1 | web is gone | web is up | web is down  in the configuration
 *   node n2 is member | lost | returning | drained | gone      in the configuration
 *   n2 votes | n2 holds the address | n2 has power | n2 is in | n2 stands down
 *   job make is running | ended | success | error | canceled | held   by request
 *   request make is taken                           a client was told of its job
 *   all is well                                     everything is as it should be
 *
 * `not` before it turns it round. What is asked of the configuration is asked of the leader's; without one it does not
 * hold, turned round or not. They only look.
 */
import type { StateView } from '../../src/config/api.ts';
import type { Job } from '../../src/config/model.ts';
import type { SimCluster } from '../cluster/cluster.ts';
import { notConverged } from '../cluster/convergence.ts';
import type { SimHost } from '../cluster/host/sim-host.ts';

export type Condition = () => boolean;

/** null: cannot be told now. */
type Look = () => boolean | null;

/** @throws Error for words that mean nothing */
export function condition(cluster: SimCluster, words: string): Condition {
  const negated = words.startsWith('not ');
  const look = meaning(cluster, negated ? words.slice(4) : words);
  if (look === null) throw new Error(`"${words}" is no condition: see sim/scenarios/conditions.ts`);
  return () => {
    const held = look();
    return held !== null && held !== negated;
  };
}

function meaning(cluster: SimCluster, words: string): Look | null {
  const rules: readonly (readonly [RegExp, (...parts: string[]) => Look])[] = [
    [/^all is well$/, () => () => notConverged(cluster) === null],
    [/^a node leads$/, () => () => cluster.leader() !== null],
    [/^(\S+) leads$/, (names) => () => names.split('|').includes(cluster.leader()?.host.name ?? '')],
    [/^(\S+) runs (nowhere)$/, (name) => runsOn(cluster, name, [])],
    [/^(\S+) runs on (\S+)$/, (name, where) => runsOn(cluster, name, where.split('|'))],
    [
      /^(\S+) belongs to (\S+)$/,
      (name, where) => ofInstance(cluster, name, (_, owner) => where.split('|').includes(owner)),
    ],
    [/^(\S+) is (up|down)$/, (name, up) => ofInstance(cluster, name, (state) => state === up)],
    [/^node (\S+) is (member|lost|returning|drained|gone)$/, (name, what) => ofNode(cluster, name, what)],
    [/^(\S+) is gone$/, (name) => inState(cluster, (state) => instanceOf(state, name) === undefined)],
    [/^(\S+) votes$/, (name) => votes(cluster, name)],
    [/^(\S+) has power$/, (name) => ofHost(cluster, name, (host) => host.power)],
    [/^(\S+) stands down$/, (name) => ofHost(cluster, name, (host) => host.agent?.stands_down === true)],
    [/^(\S+) is in$/, (name) => ofHost(cluster, name, (host) => host.member !== null)],
    [/^(\S+) holds the address$/, (name) => () => cluster.oracles.holders.includes(name)],
    [/^request (.+) is taken$/, (name) => () => [...cluster.oracles.acknowledged.values()].includes(name)],
    [/^job (.+) is (\w+)$/, (name, what) => ofJob(cluster, name, what)],
  ];
  for (const [pattern, make] of rules) {
    const found = pattern.exec(words);
    if (found !== null) return make(...found.slice(1));
  }
  return null;
}

function inState(cluster: SimCluster, judge: (state: StateView) => boolean): Look {
  return () => {
    const state = cluster.leader()?.member.state;
    return state === undefined ? null : judge(state);
  };
}

const instanceOf = (state: StateView, name: string) =>
  state.list('instances').find((one) => one.name === name);

/** The uuid outlives the configuration's knowledge of it, as long as somebody has seen it. */
const seen = new WeakMap<SimCluster, Map<string, string>>();

function uuidOf(cluster: SimCluster, name: string): string | undefined {
  const known = seen.get(cluster) ?? new Map<string, string>();
  seen.set(cluster, known);
  for (const { member } of cluster.members()) {
    const uuid = instanceOf(member.state, name)?.uuid;
    if (uuid !== undefined) known.set(name, uuid);
  }
  return known.get(name);
}

function runsOn(cluster: SimCluster, name: string, where: readonly string[]): Look {
  return () => {
    const uuid = uuidOf(cluster, name);
    const on = uuid === undefined ? [] : [...cluster.oracles.hostsRunning(uuid)];
    return where.length === 0 ? on.length === 0 : on.length === 1 && where.includes(on[0]!);
  };
}

function ofInstance(
  cluster: SimCluster,
  name: string,
  judge: (admin_state: string, owner: string) => boolean,
): Look {
  return inState(cluster, (state) => {
    const found = instanceOf(state, name);
    if (found === undefined) return false;
    return judge(found.admin_state, state.get('nodes', found.owner.node)?.name ?? '');
  });
}

function ofNode(cluster: SimCluster, name: string, what: string): Look {
  return inState(cluster, (state) => {
    const node = state.list('nodes').find((one) => one.name === name);
    if (node === undefined) return what === 'gone';
    return what === 'drained' ? node.drained : node.health === what;
  });
}

function votes(cluster: SimCluster, name: string): Look {
  return () => {
    const leader = cluster.leader();
    if (leader === null) return null;
    const member = leader.member.state.list('nodes').find((one) => one.name === name)?.member ?? 0;
    return leader.member.replica.status().configuration.voters.includes(member);
  };
}

function ofHost(cluster: SimCluster, name: string, judge: (host: SimHost) => boolean): Look {
  return () => {
    const host = cluster.hosts.find((one) => one.name === name);
    return host !== undefined && judge(host);
  };
}

function ofJob(cluster: SimCluster, request: string, what: string): Look {
  const judge = (job: Job): boolean => {
    if (what === 'ended') return job.end_timestamp !== null;
    return what === 'held' ? job.hold !== undefined : job.status === what;
  };
  return inState(cluster, (state) =>
    state.list('jobs').some((job) => job.request_id === request && judge(job)),
  );
}
