import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { bootstrapLog, configurationOf, openLogStore } from '../consensus/index.ts';
import { MemoryDisk } from '../consensus/memory-disk.ts';
import type { Entry, LogStore } from '../consensus/types.ts';
import { ImageError, openImage } from './image.ts';
import { faultWarnings, openStores, type StoresDeps } from './storage-fault.ts';
import { createTestEnv } from './test-env.ts';

const options = { reserve_bytes: 0 };
const empty = (index: number): Entry => ({ index, term: 1, kind: 'empty', data: new Uint8Array(0) });

interface Host {
  readonly deps: StoresDeps;
  readonly disk: MemoryDisk;
  readonly image_dir: string;
  readonly complaints: readonly string[];
  readonly aside: string[];
}

/** A member whose image stands at index 2 and whose log, after boundary `compacted`, ends at 3. */
async function member(t: TestContext, compacted: number): Promise<Host> {
  const dir = await mkdtemp(join(tmpdir(), 'skein-storage-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const disk = new MemoryDisk();
  await bootstrapLog(disk, configurationOf([1, 2, 3]));
  const env = createTestEnv();
  const image_dir = join(dir, 'state');
  const aside: string[] = [];
  const deps: StoresDeps = {
    env,
    host: { openLogDisk: () => Promise.resolve(disk), openImage: () => openImage(image_dir) },
    async setImageAside() {
      aside.push((await disk.list()).filter((name) => name.startsWith('faulty')).join());
      await rename(image_dir, join(dir, `damaged-${aside.length}`));
    },
  };
  const { machine, log } = await openStores(deps);
  assert.equal(log.initial.fault, undefined);
  await log.append({ term: 1, vote: 2, commit: 0 }, [empty(1), empty(2), empty(3)]);
  machine.apply([empty(1), empty(2)]);
  const meta = await machine.flush();
  await log.compact({ ...meta, index: compacted, configuration: configurationOf([1, 2, 3]) }, 0);
  await log.close();
  await machine.close();
  return { deps, disk, image_dir, complaints: env.complaints, aside };
}

/** Opens both, closes both, and tells what was found. */
async function found(deps: StoresDeps): Promise<{ initial: LogStore['initial']; image_index: number }> {
  const { machine, log } = await openStores(deps);
  await log.close();
  await machine.close();
  return { initial: log.initial, image_index: machine.durable.index };
}

/** Flips a bit in every table and log of the image's store. */
async function damageImage(dir: string): Promise<void> {
  const folder = join(dir, 'level');
  for (const name of await readdir(folder)) {
    if (!/\.(log|ldb)$/.test(name)) continue;
    const path = join(folder, name);
    const bytes = await readFile(path);
    if (bytes.length === 0) continue;
    bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 4, bytes.length >> 1);
    await writeFile(path, bytes);
  }
}

test('sound stores are opened as they are', async (t) => {
  const host = await member(t, 2);
  const { initial, image_index } = await found(host.deps);
  assert.deepEqual([initial.fault, initial.hard_state.vote, image_index], [undefined, 2, 2]);
  assert.deepEqual([host.aside, host.complaints], [[], []]);
});

test('a damaged image: marked first, set aside with the log, and a listener ever after', async (t) => {
  const host = await member(t, 2);
  await damageImage(host.image_dir);
  const first = await found(host.deps);
  assert.equal(first.initial.fault?.file, 'state image');
  assert.deepEqual(
    [first.image_index, first.initial.entries.length, first.initial.snapshot.index],
    [0, 0, 0],
  );
  assert.equal(first.initial.fault?.good_to, 3, 'the log itself was whole');
  assert.deepEqual(host.aside, ['faulty-1'], 'the mark was there before');
  assert.match(
    host.complaints.join(),
    /the storage of this host is damaged: state image: .*skein raft status/,
  );
  const second = await found(host.deps);
  assert.deepEqual(second.initial.fault, first.initial.fault);
  assert.equal(host.aside.length, 1, 'the new image is sound');
});

test('a damaged image that could not be moved: marked all the same, and the next start goes on', async (t) => {
  const host = await member(t, 2);
  await damageImage(host.image_dir);
  const stuck = { ...host.deps, setImageAside: () => Promise.reject(new Error('EIO: rename')) };
  await assert.rejects(openStores(stuck), /EIO: rename/);
  const store = await openLogStore(host.disk, options);
  assert.equal(store.initial.fault?.file, 'state image');
  await store.close();
  assert.equal((await found(host.deps)).initial.fault?.file, 'state image');
});

test('an image that cannot be opened for another reason is no damage: nothing is touched', async (t) => {
  const host = await member(t, 2);
  const before = await host.disk.list();
  const locked = new ImageError('the state image in /x cannot be opened', new Error('LEVEL_LOCKED: in use'));
  const deps = { ...host.deps, host: { ...host.deps.host, openImage: () => Promise.reject(locked) } };
  await assert.rejects(openStores(deps), locked);
  assert.deepEqual([await host.disk.list(), host.aside], [before, []]);
});

test('an image older than the log, or gone, makes a listener of the member', async (t) => {
  const host = await member(t, 2);
  await rm(host.image_dir, { recursive: true });
  const { initial } = await found(host.deps);
  assert.match(initial.fault?.reason ?? '', /ends at index 0, but the log begins after 2/);
  assert.deepEqual([initial.snapshot.index, host.aside], [0, []]);
});

test('a new image and a log that was never compacted fit together: the log is applied again', async (t) => {
  const host = await member(t, 0);
  await rm(host.image_dir, { recursive: true });
  const { initial } = await found(host.deps);
  assert.deepEqual([initial.fault, initial.entries.length], [undefined, 3]);
});

test('a log that is gone takes the vote with it', async (t) => {
  const host = await member(t, 2);
  for (const name of await host.disk.list()) await host.disk.remove(name);
  const { initial, image_index } = await found(host.deps);
  assert.deepEqual([initial.fault?.file, initial.fault?.hard_state, image_index], ['log', null, 2]);
});

test('what a status says', () => {
  const name = (id: number) => `n${id}`;
  const configuration = configurationOf([1, 2, 3]);
  const of = (id: number, leader: number, ...ids: number[]) =>
    faultWarnings(
      { id, leader, configuration, faulty: ids.map((at) => ({ id: at, reason: 'bit rot' })) },
      name,
    );
  assert.deepEqual(of(1, 1), []);
  assert.deepEqual(of(3, 1, 3), [
    'the storage of this host (n3) is damaged: bit rot. It follows, but neither votes nor counts until it has begun ' +
      'anew under a new member number, which a leader sees to by itself: skein raft status',
  ]);
  assert.match(of(1, 1, 3).join(), /^the storage of node n3 is damaged: .*by itself/);
  assert.match(
    of(1, 0, 3)[1] ?? '',
    /^no leader is known: of 3 voters 1 have .* 2 of the 2 that are sound must be up/,
  );
  assert.match(
    of(1, 0, 2, 3)[2] ?? '',
    /of 3 voters 2 have .* the 1 that are sound are fewer than the 2 needed/,
  );
});
