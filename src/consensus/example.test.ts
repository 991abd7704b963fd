/**
 * A complete use of this folder from outside, as docs/consensus.md tells it: three members that keep counters, with real
 * files and real timers, and a transport that only hands frames from one to the other. It imports nothing but index.ts.
 * What is missing for a real one is in that document: authentication, a socket, and a process that ends in `fatal`.
 */
import assert from 'node:assert/strict';
import { mkdtemp, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  bootstrapLog,
  type Configuration,
  configurationOf,
  default_timing,
  type Entry,
  type LogDisk,
  type LogFile,
  type MemberId,
  openLogStore,
  openReplica,
  type ReplicaApi,
  type ReplicaEnv,
  type SnapshotMeta,
  type StateMachine,
  type Timing,
  type Transport,
} from './index.ts';

/** Patient: a test must not lose its leader because the machine is busy. Nothing below waits for silence. */
const timing: Timing = { ...default_timing, election_ticks: 200 };

// ---------------------------------------------------------------- the disk

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function logFile(handle: Awaited<ReturnType<typeof open>>): LogFile {
  return {
    async write(offset, bytes) {
      for (let at = 0; at < bytes.length; ) {
        at += (await handle.write(bytes, at, bytes.length - at, offset + at)).bytesWritten;
      }
    },
    truncate: (size) => handle.truncate(size),
    sync: () => handle.datasync(),
    close: () => handle.close(),
  };
}

function diskIn(path: string): LogDisk {
  return {
    list: () => readdir(path),
    read: (name) => readFile(join(path, name)),
    async open(name) {
      try {
        return logFile(await open(join(path, name), 'r+'));
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
        return logFile(await open(join(path, name), 'wx+'));
      }
    },
    rename: (from, to) => rename(join(path, from), join(path, to)),
    remove: (name) => rm(join(path, name)),
    syncDirectory: () => syncDirectory(path),
  };
}

// ---------------------------------------------------------------- the state machine

interface Image {
  readonly meta: SnapshotMeta;
  readonly counters: readonly (readonly [name: string, value: number])[];
}

const no_image: Image = { meta: { index: 0, term: 0, configuration: configurationOf([]) }, counters: [] };

/** Counters by name. A command is a name; its result is the counter's new value. */
class Counters implements StateMachine {
  readonly durable: SnapshotMeta;
  readonly #path: string;
  #meta: SnapshotMeta;
  #counters: Map<string, number>;

  private constructor(path: string, image: Image) {
    this.#path = path;
    this.durable = image.meta;
    this.#meta = image.meta;
    this.#counters = new Map(image.counters);
  }

  static async open(path: string): Promise<Counters> {
    const names = await readdir(path);
    const image: Image = names.includes('image')
      ? JSON.parse(await readFile(join(path, 'image'), 'utf8'))
      : no_image;
    return new Counters(path, image);
  }

  value(name: string): number {
    return this.#counters.get(name) ?? 0;
  }

  apply(entries: readonly Entry[]): readonly unknown[] {
    return entries.map(({ index, term, kind, data }) => {
      this.#meta = { ...this.#meta, index, term };
      if (kind !== 'command') return undefined;
      const name = new TextDecoder().decode(data);
      this.#counters.set(name, this.value(name) + 1);
      return this.value(name);
    });
  }

  configuration(_index: number, configuration: Configuration): void {
    this.#meta = { ...this.#meta, configuration };
  }

  async flush(): Promise<SnapshotMeta> {
    const meta = this.#meta;
    await this.#write({ meta, counters: [...this.#counters] });
    return meta;
  }

  snapshot(chunk_bytes: number): { meta: SnapshotMeta; chunks: AsyncIterable<Uint8Array> } {
    const all = new TextEncoder().encode(JSON.stringify([...this.#counters]));
    async function* chunks() {
      for (let at = 0; at < all.length; at += chunk_bytes) yield all.subarray(at, at + chunk_bytes);
    }
    return { meta: this.#meta, chunks: { [Symbol.asyncIterator]: chunks } };
  }

  async restore(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const parts: Uint8Array[] = [];
    for await (const chunk of chunks) parts.push(chunk);
    const counters: [string, number][] = JSON.parse(Buffer.concat(parts).toString('utf8'));
    await this.#write({ meta, counters });
    this.#meta = meta;
    this.#counters = new Map(counters);
  }

  /** A file that is either the old image or the new one, whatever happens: written aside, synced, renamed, synced. */
  async #write(image: Image): Promise<void> {
    const aside = await open(join(this.#path, 'image.new'), 'w');
    try {
      await aside.writeFile(JSON.stringify(image));
      await aside.sync();
    } finally {
      await aside.close();
    }
    await rename(join(this.#path, 'image.new'), join(this.#path, 'image'));
    await syncDirectory(this.#path);
  }
}

// ---------------------------------------------------------------- the transport

/** All members in one process: frames are handed over in the next turn of the event loop. */
class Wires {
  readonly #ends = new Map<
    MemberId,
    { message: (from: MemberId, bytes: Uint8Array) => void; peer: (peer: MemberId, up: boolean) => void }
  >();

  join(id: MemberId): Transport {
    const end = { message: (): void => undefined, peer: (): void => undefined };
    this.#ends.set(id, end);
    setImmediate(() => {
      for (const [other, far] of this.#ends) {
        if (other === id || this.#ends.get(id) !== end) continue;
        far.peer(id, true);
        this.#ends.get(id)?.peer(other, true);
      }
    });
    return {
      send: (to, bytes) => {
        const copy = bytes.slice();
        setImmediate(() => {
          if (this.#ends.get(id) === end) this.#ends.get(to)?.message(id, copy);
        });
      },
      onMessage: (handler) => Object.assign(end, { message: handler }),
      onPeer: (handler) => Object.assign(end, { peer: handler }),
    };
  }

  /** The process is gone: the others see their connections close. */
  leave(id: MemberId): void {
    this.#ends.delete(id);
    for (const far of this.#ends.values()) setImmediate(() => far.peer(id, false));
  }
}

// ---------------------------------------------------------------- time and chance

function environment(): ReplicaEnv {
  return {
    now_ms: () => performance.now(),
    after(delay_ms, fn) {
      const timer = setTimeout(fn, delay_ms);
      return () => clearTimeout(timer);
    },
    random: () => Math.random(),
    log: () => undefined,
    // A real process ends here: process.exit(1).
    fatal: (reason) => assert.fail(reason),
  };
}

// ---------------------------------------------------------------- putting it together

interface Member {
  readonly replica: ReplicaApi;
  readonly counters: Counters;
}

/** @param founder only for the first start of the first member: all others wait until they are added. */
async function start(path: string, id: MemberId, wires: Wires, first?: 'found' | 'wait'): Promise<Member> {
  const disk = diskIn(path);
  if (first !== undefined) await bootstrapLog(disk, first === 'found' ? configurationOf([id]) : undefined);
  const log = await openLogStore(disk, { reserve_bytes: 0 });
  const counters = await Counters.open(path);
  const deps = { log, machine: counters, transport: wires.join(id), env: environment() };
  return { replica: openReplica({ id, timing }, deps), counters };
}

/** Resolves with the first of `members` that leads and has applied all that was committed before. */
function leaderOf(members: readonly Member[]): Promise<Member> {
  return new Promise((resolve) => {
    for (const member of members) {
      if (member.replica.status().established) resolve(member);
      member.replica.on('role', ({ established }) => {
        if (established) resolve(member);
      });
    }
  });
}

async function count(member: Member, name: string): Promise<unknown> {
  return (await member.replica.propose(new TextEncoder().encode(name))).result;
}

/** Linearizable: asks the leader for an index, waits until the local copy has it, and reads that. */
async function read(leader: Member, local: Member, name: string): Promise<number> {
  const { index } = await leader.replica.readIndex();
  await local.replica.waitApplied(index, 30_000);
  return local.counters.value(name);
}

async function directory(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'consensus-example-'));
  t.after(() => rm(path, { recursive: true }));
  return path;
}

test('three members count together, lose their leader, and find it again', {
  timeout: 120_000,
}, async (t) => {
  const wires = new Wires();
  const paths = [await directory(t), await directory(t), await directory(t)] as const;

  // One begins alone; the others wait, and are added.
  const one = await start(paths[0], 1, wires, 'found');
  const two = await start(paths[1], 2, wires, 'wait');
  const three = await start(paths[2], 3, wires, 'wait');
  await leaderOf([one]);
  await one.replica.changeMembers([
    { type: 'add-voter', id: 2 },
    { type: 'add-voter', id: 3 },
  ]);

  assert.deepEqual(await Promise.all([count(one, 'a'), count(one, 'a'), count(one, 'b')]), [1, 2, 1]);
  assert.equal(await read(one, three, 'a'), 2);
  await assert.rejects(count(two, 'a'), { code: 'not-leader', outcome: 'not-proposed', leader: 1 });

  // The leader's process is gone. The others see the connection close and elect at once.
  wires.leave(1);
  await one.replica.close();
  const next = await leaderOf([two, three]);
  assert.equal(await count(next, 'a'), 3);

  // It comes back with what is on its disk, and catches up.
  const again = await start(paths[0], 1, wires);
  assert.equal(await read(await leaderOf([two, three]), again, 'a'), 3);

  for (const member of [again, two, three]) await member.replica.close();
});
