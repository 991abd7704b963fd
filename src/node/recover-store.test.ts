import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeCommand } from '../config/codec.ts';
import { bootstrapLog, configurationOf, encodeConfiguration, openLogStore } from '../consensus/index.ts';
import { MemoryDisk } from '../consensus/memory-disk.ts';
import { configurationIn } from '../consensus/recover-log.ts';
import type { Entry, LogStore } from '../consensus/types.ts';
import type { Host, Records } from './host.ts';
import { type MemberFile, readMemberFile, writeMemberFile } from './member-file.ts';
import { completePending, orderFollow, orderRecovery } from './recover-store.ts';

type Stores = Pick<Host, 'membership' | 'openLogDisk' | 'wipe'>;

const old_file: MemberFile = {
  version: 1,
  cluster_uuid: 'c',
  cluster_name: 'lab',
  generation: 1,
  member: 3,
  node_uuid: 'node-3',
  node_name: 'n3',
  peers: [],
  pending_init: null,
};
const order = { generation: 1_700_000_000_000, time: 1_700_000_000.5, words: ['node-1'] };
const origin = { generation: 9, recovered_s: 1_700_000_000, recovered_by: 'n3' };

/** A host that can lose its power at the n-th act on its disks, counted over the log and `member.json` together. */
class CrashHost implements Stores {
  disk = new MemoryDisk();
  files = new Map<string, string>();
  acts = 0;
  crash_at = 0;
  crashed = false;

  /** `after`: the act that is cut off took effect. */
  async #act(change: () => void, after = false): Promise<void> {
    if (this.crashed) throw new Error('no power');
    this.acts += 1;
    if (this.acts !== this.crash_at) return change();
    this.crashed = true;
    this.disk.powerOff();
    if (after) change();
    throw new Error('no power');
  }

  readonly membership: Records = {
    list: async () => [...this.files.keys()],
    read: async (name) => {
      const text = this.files.get(name);
      return text === undefined ? null : JSON.parse(text);
    },
    write: async (name, value) => {
      // Before and after it counts: written whole or not at all.
      await this.#act(() => undefined);
      await this.#act(() => void this.files.set(name, JSON.stringify(value)), true);
    },
    remove: async (name) => void this.files.delete(name),
    pathOf: (name) => name,
  };

  async openLogDisk(): Promise<MemoryDisk> {
    this.disk.faults = { before: () => this.#act(() => undefined) };
    return this.disk;
  }

  async wipe(): Promise<void> {
    await this.#act(() => undefined);
    for (const name of await this.disk.list()) await this.disk.remove(name);
    await this.disk.syncDirectory();
  }

  /** Power is back. */
  again(keep: number): void {
    this.disk = this.disk.afterCrash(() => keep);
    this.crashed = false;
    this.crash_at = 0;
  }
}

async function oldMember(): Promise<CrashHost> {
  const host = new CrashHost();
  await bootstrapLog(host.disk, configurationOf([1]));
  const log = await openLogStore(host.disk, { reserve_bytes: 0 });
  const data = encodeConfiguration(configurationOf([1, 2, 3]));
  const first: Entry = { index: 1, term: 1, kind: 'empty', data: new Uint8Array(0) };
  await log.append({ term: 5, vote: 2, commit: 1 }, [first, { index: 2, term: 4, kind: 'config', data }]);
  await log.close();
  await writeMemberFile(host.membership, old_file);
  host.acts = 0;
  return host;
}

async function logOf(host: CrashHost): Promise<LogStore['initial']> {
  const log = await openLogStore(await host.openLogDisk(), { reserve_bytes: 0 });
  await log.close();
  return log.initial;
}

async function fileOf(host: CrashHost): Promise<MemberFile> {
  const file = await readMemberFile(host.membership);
  assert.ok(file);
  return file;
}

function assertRecovered(found: LogStore['initial'], file: MemberFile, where: string): void {
  assert.deepEqual(configurationIn(found), configurationOf([3], [1, 2]), where);
  assert.equal(found.entries.length, 4, where);
  const command = decodeCommand(found.entries[3]?.data ?? new Uint8Array(0));
  assert.deepEqual(command, { type: 'cluster-recover', node: 'node-3', ...order }, where);
  assert.deepEqual(file, { ...old_file, generation: order.generation }, where);
}

test('power lost at any act of a recovery leaves the old member, or the recovered one after a start', async () => {
  const outcomes = { old: 0, recovered: 0 };
  for (let crash_at = 1; ; crash_at += 1) {
    let cut = false;
    for (const keep of [0, 0.6, 1]) {
      const host = await oldMember();
      host.crash_at = crash_at;
      const act = async () => {
        await orderRecovery(host, old_file, order);
        await completePending(host, await fileOf(host));
      };
      await act().catch((error: Error) => assert.ok(host.crashed, error));
      cut = host.crashed;
      host.crash_at = 0;
      if (cut) host.again(keep);
      const where = `act ${crash_at}, keeps ${keep}`;
      const found_file = await fileOf(host);
      const ordered = found_file.pending_recovery !== undefined || found_file.generation !== 1;
      // The next start, itself cut off at each of its acts, and then a last one.
      for (let again_at = 1; cut && again_at < 40; again_at += 13) {
        host.crash_at = host.acts + again_at;
        await completePending(host, await fileOf(host)).catch((error: Error) =>
          assert.ok(host.crashed, error),
        );
        if (host.crashed) host.again(keep);
        host.crash_at = 0;
      }
      const file = await completePending(host, await fileOf(host));
      const found = await logOf(host);
      if (ordered) {
        outcomes.recovered += 1;
        assertRecovered(found, file, where);
        assert.deepEqual(await fileOf(host), file, where);
      } else {
        outcomes.old += 1;
        assert.deepEqual(file, old_file, where);
        assert.deepEqual(configurationIn(found).voters, [1, 2, 3], where);
        assert.deepEqual(found.hard_state, { term: 5, vote: 2, commit: 1 }, where);
      }
    }
    if (!cut) break;
  }
  assert.ok(outcomes.old > 10 && outcomes.recovered > 10, JSON.stringify(outcomes));
});

test('power lost at any act of following leaves a host that stands down, or one that begins anew', async () => {
  const outcomes = { standing: 0, anew: 0 };
  const stood: MemberFile = { ...old_file, superseded: origin };
  for (let crash_at = 1; ; crash_at += 1) {
    const host = await oldMember();
    host.crash_at = crash_at;
    const act = async () => {
      await orderFollow(host, stood, origin);
      await completePending(host, await fileOf(host));
    };
    host.files.set('member.json', JSON.stringify(stood));
    await act().catch((error: Error) => assert.ok(host.crashed, error));
    const cut = host.crashed;
    host.crash_at = 0;
    if (cut) host.again(1);
    const ordered =
      (await fileOf(host)).pending_follow !== undefined || (await fileOf(host)).generation === 9;
    const file = await completePending(host, await fileOf(host));
    const found = await logOf(host);
    if (ordered) {
      outcomes.anew += 1;
      assert.deepEqual(file, { ...old_file, generation: 9 }, `act ${crash_at}`);
      assert.deepEqual([found.entries, found.hard_state.term], [[], 0], `act ${crash_at}`);
    } else {
      outcomes.standing += 1;
      assert.deepEqual(file, stood, `act ${crash_at}`);
      assert.equal(found.entries.length, 2, `act ${crash_at}`);
    }
    if (!cut) break;
  }
  assert.ok(outcomes.standing > 0 && outcomes.anew > 5, JSON.stringify(outcomes));
});

test('a damaged log is not recovered, and nothing is ordered', async () => {
  const host = await oldMember();
  host.disk.flipBit('segment-0000000001', 8192 + 20, 3);
  await assert.rejects(orderRecovery(host, old_file, order), /the log of this member is damaged/);
  assert.deepEqual(await fileOf(host), old_file);
});
