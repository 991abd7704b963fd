/** What the tests of hosts that leave share: how a host comes in, and what must be true when it is out. */
import assert from 'node:assert/strict';
import { initParams } from '../../cli/lab/lab.ts';
import { createJoinToken, parseJoinToken } from '../../src/node/join-token.ts';
import { findAgent, holdsMasterIp, type Lab, rows, statusOf, waitForVoters, waitUntil } from './support.ts';

/** Founds a cluster named `lab` on a host of the lab. */
export async function foundOn(lab: Lab, name: string): Promise<void> {
  const own = lab.record.nodes.filter((node) => node.name === name);
  await waitUntil(async () => {
    await lab.node(name).call('cluster.init', initParams({ ...lab.record, nodes: own }));
    return true;
  }, `${name} to found a cluster`);
}

/** Lets a host in, and waits until `voters` vote. */
export async function joinVia(lab: Lab, via: string, name: string, voters: number): Promise<void> {
  const { token } = await waitUntil(
    () => lab.node(via).call('token.create', { expires_s: 600, master_capable: true, vm_capable: true }),
    'a token',
  );
  const params = { token, timeout_ms: 30_000 };
  await waitUntil(async () => {
    await lab.node(name).call('cluster.join', params, { timeout_ms: 35_000 });
    return true;
  }, `${name} to join`);
  await waitForVoters(lab, voters, via);
}

/** Waits until a host's agent, started anew, is in no cluster, and checks that it kept nothing of it. */
export async function assertOutside(lab: Lab, name: string, context: string): Promise<void> {
  const status = await waitUntil(
    async () => {
      const now = await statusOf(lab, name);
      return now?.in_cluster === false ? now : null;
    },
    `${context}: ${name} to be in no cluster`,
    20_000,
  );
  assert.deepEqual(
    [status.role, status.member, status.raft_members, status.guests, status.master_ip_held],
    ['none', 0, [], [], false],
    context,
  );
  assert.equal(findAgent(lab, name)?.pid, status.pid, context);
  if (lab.record.namespaces) {
    const gone = waitUntil(async () => !(await holdsMasterIp(lab, name)), `${name} without the master IP`);
    await gone.catch((error: Error) => assert.fail(`${context}: ${error.message}`));
  }
}

/** Members of the Raft group as each of `names` has it, once they agree with the configuration. */
export async function assertGroup(lab: Lab, names: readonly string[], context: string): Promise<void> {
  let seen = '';
  const agreed = waitUntil(
    async () => {
      const known = await rows(lab, names[0] ?? '', 'node');
      const members = known.map((row) => Number(row.member)).sort((a, b) => a - b);
      const groups = await Promise.all(names.map((name) => statusOf(lab, name)));
      const lists = groups.map((status) => [...(status?.raft_members ?? [])].sort((a, b) => a - b));
      seen = JSON.stringify({ nodes: known.map((row) => row.name), members, lists });
      const same = lists.every((list) => JSON.stringify(list) === JSON.stringify(members));
      return same && known.length === names.length && known.every((row) => names.includes(String(row.name)));
    },
    `${context}: the Raft group to be ${names.join(', ')}`,
    20_000,
  );
  await agreed.catch((error: Error) => assert.fail(`${error.message}: ${seen}`));
  assert.deepEqual(await rows(lab, names[0] ?? '', 'lock'), [], `${context}: a lock is left`);
}

/** The same token with another end: what a host with a wrong clock would show. */
export function tokenUntil(token: string, expires: number): string {
  const { id, secret, cluster_name, peers } = parseJoinToken(token, 0);
  return createJoinToken({ id, secret: Buffer.from(secret, 'base64url'), cluster_name, peers, expires }).text;
}
