import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createState } from '../config/state.ts';
import { init } from '../config/test-fixtures.ts';
import { bootstrapLog, configurationOf, openLogStore, setLogAside } from '../consensus/index.ts';
import { MemoryDisk } from '../consensus/memory-disk.ts';
import type { LogDisk } from '../consensus/types.ts';
import type { Records } from './host.ts';
import { type MemberFile, readMemberFile } from './member-file.ts';
import { beginAnew, type OwnNumberDeps, watchOwnNumber } from './renewal.ts';
import { createTestEnv } from './test-env.ts';

const peers = [1, 2, 3].map((member) => ({
  member,
  peer_id: `peer-${member}`,
  addresses: ['/ip4/10.0.0.1'],
}));
const file: MemberFile = {
  version: 1,
  cluster_uuid: 'cluster',
  cluster_name: 'c',
  generation: 1,
  member: 3,
  node_uuid: 'node-1',
  node_name: 'n3',
  peers,
  pending_init: null,
};

class Crash extends Error {}

/** A host that dies before act number `dies_at` of this life; what it did before is durable. */
class FragileHost {
  readonly disk = new MemoryDisk();
  readonly peer_id = 'peer-3';
  value: unknown = file;
  acts = 0;
  dies_at = Number.POSITIVE_INFINITY;

  #act(): void {
    if (this.acts === this.dies_at) throw new Crash();
    this.acts += 1;
  }

  readonly membership: Records = {
    list: () => Promise.resolve(['member.json']),
    read: () => Promise.resolve(structuredClone(this.value)),
    write: async (_name, value) => {
      this.#act();
      this.value = structuredClone(value);
    },
    remove: () => Promise.reject(new Error('it stays a member')),
    pathOf: (name) => name,
  };

  async wipeLog(): Promise<void> {
    for (const name of await this.disk.list()) {
      this.#act();
      await this.disk.remove(name);
    }
    this.#act();
    await this.disk.syncDirectory();
  }

  async openLogDisk(): Promise<LogDisk> {
    const { disk } = this;
    const counted = <A extends unknown[], R>(fn: (...args: A) => Promise<R>) => {
      return async (...args: A): Promise<R> => {
        this.#act();
        return fn.apply(disk, args);
      };
    };
    return {
      list: () => disk.list(),
      read: (name) => disk.read(name),
      open: counted(disk.open),
      rename: counted(disk.rename),
      remove: counted(disk.remove),
      syncDirectory: counted(disk.syncDirectory),
    };
  }
}

/** A member whose log was found damaged, and set aside. */
async function damaged(): Promise<FragileHost> {
  const host = new FragileHost();
  await bootstrapLog(host.disk, configurationOf([1, 2, 3]));
  await setLogAside(host.disk, { file: 'segment', offset: 9, index: 4, reason: 'a bit was flipped' });
  return host;
}

function fakes(host: FragileHost) {
  const env = createTestEnv();
  const restarts: string[] = [];
  const state = createState();
  const seen = { leader: 0, applied: 9, commit: 9 };
  const deps = {
    env,
    host,
    replica: { status: () => seen },
    state,
    file,
    peers: () => peers,
    restart: (reason) => void restarts.push(reason),
  } as OwnNumberDeps;
  return { env, restarts, state, deps, seen };
}

test('a crash at any step leaves the old, faulty replica or a new one with an empty log', async () => {
  let crashes = 0;
  for (let dies_at = 0; ; dies_at += 1) {
    const host = await damaged();
    host.dies_at = dies_at;
    const { env, deps, restarts } = fakes(host);
    let died = false;
    const noteFatal = () => {
      died = true;
    };
    const watch = watchOwnNumber({ ...deps, env: { ...env, fatal: noteFatal as typeof env.fatal } });
    watch.take(7);
    await env.advance(1_000);
    assert.equal(restarts.length, died ? 0 : 1);
    if (!died)
      await beginAnew(host, (await readMemberFile(host.membership))!).catch((error: unknown) => {
        assert.ok(error instanceof Crash, String(error));
        died = true;
      });
    const left = (await readMemberFile(host.membership))!;
    if (left.member === 3) {
      const log = await openLogStore(host.disk);
      assert.ok(log.initial.fault, 'the old number is faulty still');
      await log.close();
    } else assert.equal(left.begin_anew === true, died, `after ${dies_at} acts`);
    crashes += died ? 1 : 0;
    // The next life.
    host.dies_at = Number.POSITIVE_INFINITY;
    const begun = await beginAnew(host, left);
    assert.equal(begun.begin_anew, undefined);
    if (left.member === 7) {
      const log = await openLogStore(host.disk);
      assert.deepEqual(log.initial.fault, undefined);
      assert.deepEqual(log.initial.entries, []);
      assert.deepEqual(log.initial.hard_state, { term: 0, vote: 0, commit: 0 });
      await log.close();
    }
    if (!died) break;
  }
  assert.ok(crashes > 5, `${crashes} crashes`);
});

test('its peers know it by the new number; a number that is not higher is none', async () => {
  const host = await damaged();
  const { env, deps, restarts } = fakes(host);
  const watch = watchOwnNumber(deps);
  watch.take(3);
  await env.advance(2_000);
  assert.deepEqual([restarts, host.value], [[], file]);
  watch.take(7);
  watch.take(8);
  await env.advance(3_000);
  assert.equal(restarts.length, 1, 'once');
  const { member, begin_anew, peers: known } = (await readMemberFile(host.membership))!;
  assert.deepEqual([member, begin_anew, known.map((peer) => peer.member)], [7, true, [1, 2, 7]]);
  await watch.stop();
  assert.equal(env.timers, 0);
});

test('the log itself tells, too', async () => {
  const { deps, state, restarts } = fakes(await damaged());
  const watch = watchOwnNumber(deps);
  assert.ok(state.apply(1, init).ok);
  watch.wake();
  assert.deepEqual(restarts, [], 'member 1 is an older number');
  for (let number = 1; number < 9; number += 1)
    assert.ok(state.apply(1 + number, { type: 'node-renew', time: 1, uuid: 'node-1', if_member: number }).ok);
  watch.wake();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(restarts, ['member 3 is member 9 now']);
});

test('the peers of the configuration are kept in member.json, once they are current and until it stops', async () => {
  const host = await damaged();
  const { env, deps, seen } = fakes(host);
  let known = peers;
  const watch = watchOwnNumber({ ...deps, peers: () => known });
  const written = async () => (await readMemberFile(host.membership))?.peers.map(({ member }) => member);
  const added = [...peers, { member: 4, peer_id: 'peer-4', addresses: ['/ip4/10.0.0.4'] }];
  known = peers.slice(0, 1);
  watch.wake();
  await env.advance(1_000);
  assert.deepEqual(await written(), [1, 2, 3], 'nobody leads: it may be a log that is replayed');
  Object.assign(seen, { leader: 1, applied: 8 });
  await env.advance(1_000);
  assert.deepEqual(await written(), [1, 2, 3]);
  seen.applied = 9;
  known = added;
  await env.advance(1_000);
  assert.deepEqual(await written(), [1, 2, 3, 4]);
  const { acts } = host;
  watch.wake();
  await env.advance(5_000);
  assert.equal(host.acts, acts, 'nothing new');
  known = peers;
  watch.wake();
  await watch.stop();
  await env.advance(5_000);
  assert.deepEqual(await written(), [1, 2, 3, 4]);
});
