/**
 * What a tired operator types while hosts come and go, and while a lab is hurt: founding, joining, leaving, handing
 * the lead on, consoles that are none. The error names the value and what was expected, says what to try, and neither
 * a cluster nor a host nor the lab's own record is any different afterwards.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { labDown } from '../../cli/lab/down.ts';
import { initParams, labUp } from '../../cli/lab/lab.ts';
import { ApiCallError } from '../../src/node/api-client.ts';
import { createJoinToken, join_token_prefix, parseJoinToken } from '../../src/node/join-token.ts';
import { cleanUpOf, mustSucceed, withHookedLab } from './jobs-support.ts';
import { assertOutside, foundOn, joinVia, tokenUntil } from './leave-support.ts';
import { cli, cliOk, type Lab, leaderOf, othersThan, sameState, statusOf, waitUntil } from './support.ts';

interface Case {
  readonly args: readonly string[];
  readonly exit: number;
  readonly says: RegExp;
}
const refused = (exit: number, says: RegExp, ...args: readonly string[]): Case => ({ args, exit, says });
const init = (exit: number, says: RegExp, ...more: readonly string[]): Case =>
  refused(exit, says, 'cluster', 'init', 'new', '--primary-ip', '10.77.0.3', ...more);

describe('bad input: membership and lab', () => {
  // n1 and n2 are a cluster, n3 is in none, n4 is a cluster of its own.
  const cleaning = cleanUpOf(after);
  const members = ['n1', 'n2'];
  let lab: Lab;
  before(
    async () => {
      lab = await withHookedLab(cleaning, { nodes: 4, init: false });
      await foundOn(lab, 'n1');
      await joinVia(lab, 'n1', 'n2', 1);
      const own = lab.record.nodes.filter((node) => node.name === 'n4');
      const foreign = {
        ...initParams({ ...lab.record, nodes: own }),
        cluster_name: 'foreign',
        master_ip: '',
      };
      await lab.node('n4').call('cluster.init', foreign);
    },
    { timeout: 120_000 },
  );

  /** What must not change: of each host its process, its membership, its state, and what the lab has written down. */
  async function looks(): Promise<readonly string[]> {
    const hosts = await Promise.all(
      lab.nodes.map(async (node) => {
        const status = await waitUntil(() => statusOf(lab, node.name), `${node.name} to answer`);
        const host = readFileSync(join(node.dir, 'host.json'), 'utf8');
        const [, hash = ''] = status.state_hash.split(':');
        return `${node.name} ${status.pid} ${status.in_cluster} ${status.member} ${hash} ${host}`;
      }),
    );
    const record = readFileSync(join(lab.dir, 'lab.json'));
    return [...hosts, `lab.json ${createHash('sha256').update(record).digest('hex')}`];
  }

  async function unchanged(on: string, cases: readonly Case[]): Promise<void> {
    // What came before may still be on its way to one of them.
    await sameState(lab, members);
    const before_all = await looks();
    for (const { args, exit, says } of cases) {
      const answer = await cli(lab, on, args);
      const text = `skein ${args.join(' ').slice(0, 200)} on ${on}: status ${answer.code}\n${answer.stderr}${answer.stdout}`;
      assert.equal(answer.code, exit, text);
      assert.match(answer.stderr, says, text);
      assert.match(answer.stderr, /^Try: \S/m, text);
      assert.doesNotMatch(answer.stderr, /^\s+at .*:\d+:\d+|undefined|\[object Object\]/m, text);
      assert.deepEqual(await looks(), before_all, text);
    }
  }

  test('cluster init on a host that is in no cluster', { timeout: 120_000 }, () =>
    unchanged('n3', [
      refused(2, /--primary-ip <address>' not specified/, 'cluster', 'init'),
      refused(2, /--primary-ip <address>' not specified/, 'cluster', 'init', 'new'),
      refused(2, /"" is no host name|cluster_name/, 'cluster', 'init', '', '--primary-ip', '10.77.0.3'),
      refused(2, /"a b" is no host name/, 'cluster', 'init', 'a b', '--primary-ip', '10.77.0.3'),
      refused(
        2,
        /primary_ip "300\.1\.1\.1": expected an IP/,
        'cluster',
        'init',
        'new',
        '--primary-ip',
        '300.1.1.1',
      ),
      init(2, /"N_3" is no host name/, '--node-name', 'N_3'),
      init(2, /master_ip "nowhere": expected an IP address/, '--master-ip', 'nowhere'),
      init(2, /--master-netmask: "x" is no whole number/, '--master-netmask', 'x'),
      init(2, /master_netmask 33: expected .* 1 to 32/, '--master-ip', '10.0.0.9', '--master-netmask', '33'),
      init(2, /master_netdev "e h": expected the name/, '--master-ip', '10.0.0.9', '--master-netdev', 'e h'),
      init(2, /enabled_hypervisors: "xen" is not one of: kvm, fake/, '--enabled-hypervisors', 'xen'),
      init(2, /enabled_hypervisors is empty/, '--enabled-hypervisors', ','),
      init(2, /enabled_disk_templates: "tape" is not one of/, '--enabled-disk-templates', 'tape'),
      init(2, /file_storage_dir "here": expected an absolute path/, '--file-storage-dir', 'here'),
      init(2, /shared_file_storage_dir "\/a\/\.\.\/b"/, '--shared-file-storage-dir', '/a/../b'),
      init(2, /ha parameter "nosuch" is not known; known: .*lease_ms/, '--ha', 'nosuch=1'),
      init(2, /ha parameter lease_ms: "long" has the wrong type/, '--ha', 'lease_ms=long'),
      init(2, /ha parameter lease_ms: -5, expected more than 0/, '--ha', 'lease_ms=-5'),
      init(2, /-C: "0" is no whole number/, '-C', '0'),
      refused(5, /this host is in no cluster/, 'node', 'leave'),
      refused(5, /this host is in no cluster/, 'node', 'leave', '--force'),
      refused(5, /this host is in no cluster/, 'raft', 'transfer'),
      refused(5, /this host is in no cluster/, 'cluster', 'destroy', '-f'),
    ]),
  );

  test('join with what is no token of this cluster, or a wrong name', { timeout: 180_000 }, async () => {
    const made = async (on: string) =>
      (JSON.parse(await cliOk(lab, on, ['--json', 'node', 'add'])) as { token: string }).token;
    const good = await made('n2');
    const foreign = parseJoinToken(await made('n4'), 0);
    const own = parseJoinToken(good, 0);
    const crossed = createJoinToken({
      ...foreign,
      secret: Buffer.from(foreign.secret, 'base64url'),
      peers: own.peers,
    }).text;
    const flipped = `${good.slice(0, -12)}${good.at(-12) === 'A' ? 'B' : 'A'}${good.slice(-11)}`;
    const used = await cli(lab, 'n3', ['join']);
    assert.equal(used.code, 2, used.stderr);
    await unchanged('n3', [
      refused(2, /a join token begins with "skein-join-1:"/, 'join', 'hello'),
      refused(2, /cut short or damaged|is damaged|malformed/, 'join', join_token_prefix),
      refused(2, /cut short or damaged/, 'join', good.slice(0, -9)),
      refused(2, /cut short or damaged|is damaged/, 'join', flipped),
      refused(2, /the token expired at .* Make a new one/, 'join', tokenUntil(good, Date.now() - 1_000)),
      refused(1, /is not valid: expected one that this cluster made/, 'join', crossed),
      refused(2, /--timeout "soon" is no duration/, 'join', good, '--timeout', 'soon'),
      refused(2, /--timeout 0 leaves no time/, 'join', good, '--timeout', '0'),
      refused(2, /"a b" is no host name/, 'join', good, '--name', 'a b'),
      refused(2, /name/, 'join', good, '--name', ''),
      refused(2, /"x{20,}/, 'join', good, '--name', 'x'.repeat(254)),
      refused(1, /there is a node n1 already/, 'join', good, '--name', 'n1'),
    ]);
    // None of it used the token up.
    await cliOk(lab, 'n3', ['join', good]);
    await cliOk(lab, 'n1', ['node', 'remove', '-f', 'n3']);
    await assertOutside(lab, 'n3', 'removed');
  });

  test('a host that is a member already', { timeout: 120_000 }, async () => {
    for (const name of members)
      await unchanged(name, [
        init(1, /is a member of cluster lab already/),
        refused(1, /is a member of cluster lab already/, 'join', 'whatever'),
        refused(
          1,
          new RegExp(`still knows this host as ${name}\\nTry: skein node remove ${name}`),
          'node',
          'leave',
        ),
        refused(1, /node "nosuch" does not exist/, 'raft', 'transfer', 'nosuch'),
        refused(1, /node "" does not exist/, 'raft', 'transfer', ''),
      ]);
  });

  test('the lead is not handed to who has it, nor to who does not vote', { timeout: 60_000 }, async () => {
    const leader = await leaderOf(lab, { among: members });
    const [other = ''] = members.filter((name) => name !== leader);
    for (const name of members) {
      await unchanged(name, [
        refused(1, new RegExp(`node ${leader} leads already`), 'raft', 'transfer', leader),
        refused(1, new RegExp(`node ${other} does not vote`), 'raft', 'transfer', other),
        refused(1, /no other voter/, 'raft', 'transfer'),
      ]);
      for (const to of [leader, other, undefined])
        await assert.rejects(
          lab.node(name).call('raft.transfer', to === undefined ? {} : { to }),
          (error: Error) => error instanceof ApiCallError && error.code === 'refused',
        );
    }
  });

  test('the console of a guest that has none', { timeout: 60_000 }, async () => {
    const beparams = { maxmem: 64, minmem: 64 };
    const more = { mode: 'create', disk_template: 'diskless', disks: [], nics: [], beparams };
    await mustSucceed(lab, 'n1', [
      { OP_ID: 'OP_INSTANCE_CREATE', instance_name: 'runs', pnode: 'n2', os_type: 'noop', ...more },
      {
        OP_ID: 'OP_INSTANCE_CREATE',
        instance_name: 'idle',
        pnode: 'n2',
        start: false,
        os_type: 'noop',
        ...more,
      },
    ]);
    for (const name of members)
      await unchanged(name, [
        refused(
          1,
          /no console of runs on n2: .*\nTry: skein instance info runs/,
          'instance',
          'console',
          'runs',
        ),
        refused(1, /no console of runs on n2/, 'instance', 'console', 'runs', '--follow', '--seconds', '5'),
        refused(
          1,
          /no console of idle on n2: .*\nTry: skein instance startup idle/,
          'instance',
          'console',
          'idle',
        ),
        refused(2, /--seconds: "never" is no time/, 'instance', 'console', 'runs', '--seconds', 'never'),
        refused(1, /instance "nosuch" does not exist/, 'instance', 'console', 'nosuch'),
      ]);
    for (const name of ['runs', 'idle']) await cliOk(lab, 'n1', ['instance', 'remove', '-f', name]);
  });

  test('skein lab: unknown hosts, numbers, words and directions', { timeout: 120_000 }, async () => {
    const on = (exit: number, says: RegExp, ...args: readonly string[]): Case =>
      refused(exit, says, 'lab', ...args, '--dir', lab.dir);
    const none = /has no node "n9"\nTry: one of n1, n2, n3, n4/;
    await unchanged('n1', [
      ...['cut', 'heal', 'freeze', 'thaw', 'logs'].map((verb) => on(1, none, verb, 'n9')),
      ...['on', 'off'].map((word) => on(1, none, 'power', 'n9', word)),
      on(2, /power "of" is not known\nTry: one of on, off/, 'power', 'n1', 'of'),
      on(2, /power "OFF" is not known/, 'power', 'n1', 'OFF'),
      on(2, /missing required argument/, 'power', 'n1'),
      on(2, /--one-way "up" is not known\nTry: one of in, out/, 'cut', 'n1', '--one-way', 'up'),
      on(2, /--lines: "many" is no whole number/, 'logs', 'n1', '--lines', 'many'),
      refused(1, none, 'lab', 'exec', '--dir', lab.dir, 'n9', '--', 'true'),
      on(2, /--nodes: "three" is no whole number/, 'up', '--nodes', 'three'),
      on(2, /--nodes: "0" is no whole number/, 'up', '--nodes', '0'),
      on(2, /--lease "short" is not known/, 'up', '--lease', 'short'),
      on(2, /--hypervisor "xen" is not known/, 'up', '--hypervisor', 'xen'),
      on(1, /has 4 nodes, not 2/, 'up', '--nodes', '2'),
      refused(
        2,
        /--nodes 65: expected a number from 1 to 64/,
        'lab',
        'up',
        '--nodes',
        '65',
        '--dir',
        join(lab.dir, 'other'),
      ),
      refused(1, /is no lab and not empty/, 'lab', 'up', '--dir', join(lab.dir, 'n1')),
      refused(
        1,
        /there is no lab in .*\nTry: skein lab up/,
        'lab',
        'cut',
        'n1',
        '--dir',
        join(lab.dir, 'other'),
      ),
      refused(1, /there is no lab in/, 'lab', 'status', '--dir', join(lab.dir, 'other')),
      refused(2, /unknown command 'explode'/, 'lab', 'explode', 'n1'),
    ]);
    assert.deepEqual(othersThan(lab), ['n1', 'n2', 'n3', 'n4']);
  });
});

test('a lab without namespaces has no cable to cut', { timeout: 120_000 }, async (t) => {
  const scratch = mkdtempSync(join(tmpdir(), 'skb-'));
  const dir = join(scratch, 'l');
  t.after(async () => {
    await labDown({ dir });
    rmSync(scratch, { recursive: true, force: true });
  });
  const { lab } = await labUp({ dir, nodes: 1, init: false, namespaces: false, hypervisor: 'fake' });
  const pid = (await statusOf(lab, 'n1'))?.pid;
  for (const args of [
    ['cut', 'n1'],
    ['cut', 'n1', '--one-way', 'in'],
    ['heal', 'n1'],
  ]) {
    const answer = await cli(lab, 'n1', ['lab', ...args, '--dir', dir]);
    assert.equal(answer.code, 1, answer.stderr);
    assert.match(answer.stderr, /cut needs network namespaces, and this lab has none|heal needs/);
    assert.match(answer.stderr, /^Try: \S/m);
  }
  assert.equal((await statusOf(lab, 'n1'))?.pid, pid);
});
