/**
 * Hosts come and go while a guest runs; who has no right to come in is told why, and changes nothing.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { initParams } from '../../cli/lab/lab.ts';
import { mesh_port } from '../../cli/lab/layout.ts';
import { createJoinToken, join_token_prefix, parseJoinToken } from '../../src/node/join-token.ts';
import {
  assertCommits,
  cli,
  cliOk,
  type Lab,
  leaderOf,
  onClient,
  rowOf,
  rows,
  sameState,
  statusOf,
  suiteLab,
  waitForVoters,
  waitUntil,
} from './support.ts';
import { addGuest, type ConsoleTail, runsOnce, tailConsole } from './support-guest.ts';

const members = ['n1', 'n2', 'n3'];
const far_ms = 3_600_000;

async function newToken(lab: Lab, expires = '1h'): Promise<{ readonly token: string; readonly id: string }> {
  return JSON.parse(await cliOk(lab, 'n2', ['--json', 'node', 'add', '--expires', expires])) as {
    token: string;
    id: string;
  };
}

/** The same token with another end: what a host with a wrong clock, or an attacker, would send. */
function withExpiry(token: string, expires: number): string {
  const { id, secret, cluster_name, peers } = parseJoinToken(token, 0);
  return createJoinToken({ id, secret: Buffer.from(secret, 'base64url'), cluster_name, peers, expires }).text;
}

/** What the members have, whatever index it stands at: an entry that is refused has an index too. */
async function contentOf(lab: Lab): Promise<string> {
  const [, hash = ''] = (await sameState(lab, members)).split(':');
  return hash;
}

/** `boots`: seen before, when it was started. */
function assertCounts(console: ConsoleTail, boots: number): void {
  assert.equal(console.boots, boots, 'the guest was not started again');
  assert.equal(console.closed, false, 'its console was not interrupted');
  for (const [at, number] of console.counts.entries())
    if (at > 0) assert.equal(number, (console.counts[at - 1] ?? 0) + 1, 'it counts without a gap');
}

describe('membership', { timeout: 400_000 }, () => {
  // n4 comes and goes; n5 is a cluster of its own.
  const started = suiteLab({ nodes: 5, hypervisor: 'kvm', init: false });
  let lab: Lab;

  before(async () => {
    lab = started();
    const alone = lab.record.nodes[4];
    assert.ok(alone);
    await lab.node('n1').call('cluster.init', initParams(lab.record));
    await lab.node('n5').call('cluster.init', {
      ...initParams({ ...lab.record, nodes: [alone] }),
      cluster_name: 'foreign',
      master_ip: '',
    });
    for (const name of ['n2', 'n3']) {
      const { token } = await waitUntil(
        () => lab.node('n1').call('token.create', { expires_s: 600, master_capable: true, vm_capable: true }),
        'a token',
      );
      await cliOk(lab, name, ['join', token]);
    }
    await waitForVoters(lab, 3);
    await addGuest(lab, 'n1', 'web1', 'n2');
  });

  test('a fourth node joins, is removed, and joins again under a new number; a guest runs on meanwhile', async (t) => {
    const guest = await runsOnce(lab, 'n1', 'web1');
    const console = await tailConsole(lab, 'n1', 'web1');
    t.after(async () => console.stop());
    await waitUntil(() => console.counts.length >= 1, 'web1 to count');
    const { boots } = console;

    const first = await newToken(lab);
    assert.match(await cliOk(lab, 'n4', ['join', first.token]), /This host is n4 in cluster lab/);
    await sameState(lab, [...members, 'n4']);
    const member = (await statusOf(lab, 'n4'))?.member;
    assert.equal((await rowOf(lab, 'n4', 'node', 'n4')).member, member);
    await assertCommits(lab, 'n4');
    const twice = await cli(lab, 'n4', ['join', first.token]);
    assert.notEqual(twice.code, 0);
    assert.match(twice.stderr, /member of cluster lab already/);

    await cliOk(lab, 'n3', ['node', 'remove', '-f', 'n4']);
    await waitUntil(
      async () => (await statusOf(lab, 'n4'))?.in_cluster === false,
      'the removed host to be in no cluster',
    );
    const outside = await cli(lab, 'n4', ['node', 'list']);
    assert.equal(outside.code, 5);
    assert.match(outside.stderr, /this host is in no cluster\nTry: .*skein join/);
    assert.deepEqual(
      (await rows(lab, 'n1', 'node')).map((row) => row.name),
      members,
    );
    await assertCommits(lab, 'n1');

    // Its old token is of no use any more.
    const stale = await cli(lab, 'n4', ['join', first.token]);
    assert.notEqual(stale.code, 0);
    assert.match(stale.stderr, /used by a node that was removed since|does not let this host join now/);
    const second = await newToken(lab);
    await cliOk(lab, 'n4', ['join', second.token]);
    const again = (await statusOf(lab, 'n4'))?.member ?? 0;
    assert.ok(again > (member ?? 0), `member ${again} follows ${member}: numbers are never used twice`);
    await sameState(lab, [...members, 'n4']);
    await assertCommits(lab, 'n4');

    const seen = console.counts.length;
    await waitUntil(() => console.counts.length > seen, 'web1 to count on');
    assertCounts(console, boots);
    assert.deepEqual(await runsOnce(lab, 'n1', 'web1'), guest);
    await cliOk(lab, 'n1', ['node', 'remove', '-f', 'n4']);
    await waitUntil(async () => (await statusOf(lab, 'n4'))?.in_cluster === false, 'n4 to be out again');
  });

  test('a host that forgot its membership is let in anew under its name, not while it counts as up', async () => {
    await cliOk(lab, 'n4', ['join', (await newToken(lab)).token]);
    await sameState(lab, [...members, 'n4']);
    const before = await rowOf(lab, 'n1', 'node', 'n4');
    await cliOk(lab, 'n4', ['node', 'leave', '--force']);
    await waitUntil(async () => (await statusOf(lab, 'n4'))?.in_cluster === false, 'n4 to be out');

    const { token } = await newToken(lab);
    const taken = await cli(lab, 'n4', ['join', token, '--name', 'n6']);
    assert.match(taken.stderr, /this host is a member already, as node n4: skein join --name n4/);
    const early = await cli(lab, 'n4', ['join', token]);
    // On a slow machine it may be lost by now.
    if (early.code !== 0) {
      assert.match(
        early.stderr,
        /cluster lab refused: node n4 is not proven lost .*skein node remove n4\nTry: on a member: skein node list/,
      );
      await waitUntil(
        async () => (await rowOf(lab, 'n1', 'node', 'n4')).health === 'lost',
        'n4 to be taken for lost',
      );
      // No refusal used the token up.
      await cliOk(lab, 'n4', ['join', token]);
    }
    const after = await rowOf(lab, 'n4', 'node', 'n4');
    assert.ok(Number(after.member) > Number(before.member), `${after.member} after ${before.member}`);
    assert.notEqual(after.uuid, before.uuid);
    await sameState(lab, [...members, 'n4']);
    await assertCommits(lab, 'n4');
    await cliOk(lab, 'n1', ['node', 'remove', '-f', 'n4']);
    await waitUntil(async () => (await statusOf(lab, 'n4'))?.in_cluster === false, 'n4 to be out again');
  });

  test('a node that owns an instance is not removed; nothing changes', async () => {
    const refused = await cli(lab, 'n1', ['node', 'remove', '-f', 'n2']);
    assert.notEqual(refused.code, 0);
    assert.match(refused.stderr + refused.stdout, /owns 1 instances \(web1\)/);
    assert.deepEqual(
      (await rows(lab, 'n1', 'node')).map((row) => row.name),
      members,
    );
    assert.equal((await statusOf(lab, 'n2'))?.in_cluster, true);
  });

  test('expired, reused, revoked, foreign and damaged tokens: a clear error, and nothing changes', async () => {
    const short = await newToken(lab, '10s');
    const expires = parseJoinToken(short.token, 0).expires;
    const open = await newToken(lab);
    const revoked = await newToken(lab);
    await cliOk(lab, 'n1', ['node', 'revoke-token', revoked.id]);
    const foreign = JSON.parse(await cliOk(lab, 'n5', ['--json', 'node', 'add'])) as { token: string };
    const foreign_id = parseJoinToken(foreign.token, 0);
    const own = parseJoinToken(open.token, 0);
    // A secret of the other cluster, shown at this one's door.
    const crossed = createJoinToken({
      ...foreign_id,
      secret: Buffer.from(foreign_id.secret, 'base64url'),
      peers: own.peers,
    }).text;
    // This cluster's token with another host's key at the address: not the peer that it names.
    const wrong_peer = createJoinToken({
      ...own,
      secret: Buffer.from(own.secret, 'base64url'),
      peers: own.peers.map((peer) => ({ ...peer, peer_id: foreign_id.peers[0]?.peer_id ?? '' })),
    }).text;
    await waitUntil(() => Date.now() > expires, 'the short token to expire');
    const before = await contentOf(lab);

    const late = `${join_token_prefix}${open.token.slice(join_token_prefix.length, -9)}`;
    const cases: readonly (readonly [string, string, RegExp])[] = [
      ['expired', short.token, /the token expired at .*skein node add/s],
      ['expired, by a host with a slow clock', withExpiry(short.token, Date.now() + far_ms), /has expired/],
      ['revoked', revoked.token, /is not valid: expected one that this cluster made/],
      ['of another cluster', crossed, /is not valid: expected one that this cluster made/],
      ['for another peer', wrong_peer, /no member of lab let this host in/],
      ['cut short', late, /cut short or damaged/],
      ['no token', 'hello', /a join token begins with "skein-join-1:"/],
    ];
    for (const [what, token, expected] of cases) {
      const refused = await cli(lab, 'n4', ['join', token, '--timeout', '20s']);
      assert.notEqual(refused.code, 0, what);
      assert.match(refused.stderr, expected, what);
      assert.match(refused.stderr, /\nTry: \S/, what);
      assert.equal((await statusOf(lab, 'n4'))?.in_cluster, false, what);
    }
    assert.equal(await contentOf(lab), before, 'nothing of it reached the state');

    // Used by one host, shown by another.
    await cliOk(lab, 'n4', ['join', open.token]);
    await cliOk(lab, 'n1', ['node', 'remove', '-f', 'n4']);
    await waitUntil(async () => (await statusOf(lab, 'n4'))?.in_cluster === false, 'n4 to be out again');
    await newToken(lab); // keeps the door open: what refuses is the token's own state
    const settled = await contentOf(lab);
    const reused = await cli(lab, 'n4', ['join', open.token]);
    assert.notEqual(reused.code, 0);
    assert.match(reused.stderr, /was used by/);
    assert.equal(await contentOf(lab), settled);
  });

  test('a peer that is no member is let into nothing', async (t) => {
    await newToken(lab); // joining is open: even then a stranger may only ask to join
    const before = await contentOf(lab);
    const leader = await leaderOf(lab, { among: members });
    const status = await statusOf(lab, leader);
    assert.ok(status);
    const keys = mkdtempSync(join(tmpdir(), 'skt-key-'));
    t.after(() => rmSync(keys, { recursive: true, force: true }));
    const program = fileURLToPath(new URL('./stranger.ts', import.meta.url));
    const address = `/ip4/${lab.node(leader).address}/tcp/${mesh_port}`;
    const text = await onClient(lab, [process.execPath, program, status.peer_id, address, keys], 60_000);
    const outcome = JSON.parse(text) as Record<string, string>;
    for (const [what, result] of Object.entries(outcome))
      assert.doesNotMatch(result, /^answered/, `${what}: ${result}`);
    for (const what of ['read', 'propose', 'removed', 'console'])
      assert.match(outcome[what] ?? '', /^(unreachable|timeout|broken)/, what);
    // Named as what it is, unless the connection falls with the stranger's others, before or after it has asked.
    assert.match(
      outcome.join ?? '',
      /^(invalid: .*bad join request|refused: .*does not let this host join|broken: the connection ended)/s,
    );
    assert.equal(await contentOf(lab), before);
    assert.equal((await statusOf(lab, leader))?.in_cluster, true);
    await assertCommits(lab, 'n1');
  });
});
