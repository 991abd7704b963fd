/** The durable image and the machine over it: what survives, what is noticed, what is refused. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { Level } from 'level';
import { Packr } from 'msgpackr';
import type { Change } from '../config/api.ts';
import { canonical } from '../config/canonical.ts';
import { encodeCommand } from '../config/codec.ts';
import type { Command } from '../config/commands.ts';
import { init, instanceAdd, now, three_nodes } from '../config/test-fixtures.ts';
import type { Configuration, Entry } from '../consensus/types.ts';
import { type Image, type ImageMeta, openImage } from './image.ts';
import { createMachine, type Machine, type MachineEnv, openMachine } from './machine.ts';

let dir = '';
let fatal: string[] = [];
let open: Machine[] = [];
const env: MachineEnv = { log: () => undefined, fatal: (reason) => fatal.push(reason) };

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'skein-machine-'));
  fatal = [];
  open = [];
});
afterEach(async () => {
  for (const machine of open) await machine.close();
  rmSync(dir, { recursive: true });
});

async function machineIn(name = 'image'): Promise<Machine> {
  const machine = await openMachine(await openImage(join(dir, name)), env);
  open.push(machine);
  return machine;
}

async function reopened(machine: Machine): Promise<Machine> {
  await closed(machine);
  return machineIn();
}

async function closed(machine: Machine): Promise<void> {
  await machine.close();
  open = open.filter((one) => one !== machine);
}

const entry = (index: number, command: Command): Entry => ({
  index,
  term: 7,
  kind: 'command',
  data: encodeCommand(command),
});
const configuration: Configuration = {
  voters: [1, 2, 3],
  voters_outgoing: [],
  learners: [4],
  learners_next: [],
  auto_leave: false,
};

function feed(machine: Machine, ...commands: readonly Command[]): void {
  for (const command of commands) {
    const [result] = machine.apply([entry(machine.state.index + 1, command)]) as [{ ok: boolean }];
    assert.equal(result.ok, true, JSON.stringify(result));
  }
}

async function chunksOf(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return all;
}

async function* stream(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

/** The stream without its record `skip`; each record stands behind its length in four bytes. */
function withoutRecord(bytes: Buffer, skip: number): Uint8Array {
  let at = 0;
  for (let record = 0; record < skip; record++) at += 4 + bytes.readUInt32BE(at);
  return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 4 + bytes.readUInt32BE(at))]);
}

const boot = (number: number): Command => ({ type: 'node-boot', time: now, uuid: 'node-1', boot: number });

describe('machine', () => {
  it('is new at index 0', async () => {
    const machine = await machineIn();
    assert.equal(machine.durable.index, 0);
    assert.equal(machine.state.index, 0);
    assert.deepEqual(machine.durable.configuration.voters, []);
  });

  it('applies in order and answers one result an entry', async () => {
    const machine = await machineIn();
    const results = machine.apply([
      { index: 1, term: 1, kind: 'empty', data: new Uint8Array(0) },
      entry(2, init),
      { index: 3, term: 1, kind: 'config', data: new Uint8Array(0) },
      entry(4, init),
      { index: 5, term: 1, kind: 'command', data: Uint8Array.of(0xc1) },
    ]) as ({ ok: boolean; error?: { code: string } } | undefined)[];
    assert.deepEqual(
      results.map((result) => result?.ok),
      [undefined, true, undefined, false, false],
    );
    assert.equal(results[4]?.error?.code, 'invalid');
    assert.equal(machine.state.index, 5);
    assert.throws(() => machine.apply([entry(7, init)]), /expected 6/);
    assert.throws(() => machine.configuration(9, configuration), /before it was applied/);
  });

  it('survives a restart as of the last flush, and replays the rest', async () => {
    const before = await machineIn();
    feed(before, ...three_nodes);
    before.configuration(3, configuration);
    const flushed = await before.flush();
    assert.deepEqual(flushed, { index: 5, term: 7, configuration });
    const hash = before.state.hash();
    feed(before, instanceAdd('lost'));

    const after = await reopened(before);
    assert.deepEqual(after.durable, flushed);
    assert.equal(after.state.hash(), hash);
    assert.equal(after.state.count('instances'), 0);
    feed(after, instanceAdd('lost'));
    assert.equal(after.state.hash(), before.state.hash());
  });

  it('flushes removals and only what has changed', async () => {
    const machine = await machineIn();
    feed(machine, init, instanceAdd('a', 'sharedfile'));
    await machine.flush();
    feed(
      machine,
      { type: 'instance-remove', time: now, uuid: 'instance-a', if_epoch: null },
      instanceAdd('b'),
    );
    await machine.flush();
    const after = await reopened(machine);
    assert.deepEqual(
      after.state.list('instances').map(({ name }) => name),
      ['b'],
    );
    assert.equal(after.state.count('disks'), 0);
    assert.equal(after.state.hash(), machine.state.hash());
  });

  it('tells what changed', async () => {
    const machine = await machineIn();
    const heard: [number, string[]][] = [];
    const stop = machine.onChanges((index, changes) => heard.push([index, changes.map(({ key }) => key)]));
    feed(machine, init, boot(2), boot(1));
    stop();
    feed(machine, boot(3));
    assert.deepEqual(heard, [
      [1, ['cluster', 'group-1', 'node-1', 'meta']],
      [2, ['node-1']],
    ]);
  });

  it('a listener that fails is fatal, not silent', async () => {
    const machine = await machineIn();
    machine.onChanges(() => {
      throw new Error('listener broke');
    });
    feed(machine, init);
    assert.match(fatal[0] ?? '', /listener broke/);
  });

  it('a flush that fails leaves nothing out of the next one', async () => {
    const image = new MemoryImage();
    const machine = createMachine(image, env);
    feed(machine, ...three_nodes);
    image.failing = true;
    const failed = machine.flush();
    feed(machine, boot(2));
    await assert.rejects(failed, /disk is full/);
    image.failing = false;
    await machine.flush();
    const again = createMachine(image.asFound(), env);
    assert.equal(again.state.hash(), machine.state.hash());
  });
});

describe('a damaged image', () => {
  async function damaged(damage: (db: Level<string, Uint8Array>) => Promise<void>): Promise<void> {
    const machine = await machineIn();
    feed(machine, ...three_nodes, instanceAdd('web1', 'sharedfile'));
    await machine.flush();
    await closed(machine);
    const db = new Level<string, Uint8Array>(join(dir, 'image', 'level'), { valueEncoding: 'view' });
    await db.open();
    await damage(db);
    await db.close();
  }

  it('a flipped bit in any object is noticed', async () => {
    await damaged(async (db) => {
      const key = 'object/instances/instance-web1';
      const bytes = Uint8Array.from((await db.get(key))!);
      const at = Buffer.from(bytes).indexOf('web1');
      bytes[at + 3]! ^= 2;
      await db.put(key, bytes);
    });
    await assert.rejects(
      machineIn(),
      /image is damaged: its \d+ objects hash to [0-9a-f]{64}, but at index 6/,
    );
  });

  it('a lost object is noticed', async () => {
    await damaged((db) => db.del('object/nodes/node-3'));
    await assert.rejects(machineIn(), /image is damaged/);
  });

  it('a flipped bit in the meta record is noticed', async () => {
    await damaged(async (db) => {
      const packr = new Packr({ useRecords: false });
      const [meta, sum] = packr.unpack((await db.get('meta'))!) as [ImageMeta, string];
      await db.put('meta', packr.pack([{ ...meta, index: meta.index ^ 1 }, sum]));
    });
    await assert.rejects(machineIn(), /meta record fails its checksum/);
  });

  it('a lost meta record is noticed', async () => {
    await damaged((db) => db.del('meta'));
    await assert.rejects(machineIn(), /lost its meta record/);
  });

  it('an image of another version is refused', async () => {
    await damaged(async (db) => {
      const packr = new Packr({ useRecords: false });
      const [found] = packr.unpack((await db.get('meta'))!) as [ImageMeta, string];
      const meta = { ...found, version: 2 };
      await db.put('meta', packr.pack([meta, createHash('sha256').update(canonical(meta)).digest('hex')]));
    });
    await assert.rejects(machineIn(), /has version 2: expected 1/);
  });

  it('a store emptied by one flipped bit in its log is not taken for a new one', async () => {
    const machine = await machineIn();
    feed(machine, init);
    await machine.flush();
    await closed(machine);
    const folder = join(dir, 'image', 'level');
    const log = join(folder, readdirSync(folder).find((name) => name.endsWith('.log'))!);
    const bytes = readFileSync(log);
    bytes[bytes.indexOf('node-1')]! ^= 1;
    writeFileSync(log, bytes);
    await assert.rejects(machineIn(), /damaged|cannot be (opened|read)/);
  });

  it('is used by one process at a time', async () => {
    await machineIn();
    await assert.rejects(machineIn(), /cannot be opened/);
  });
});

describe('snapshots', () => {
  it('carry the state of the call, in chunks of any size', async () => {
    const source = await machineIn('source');
    feed(source, ...three_nodes, instanceAdd('web1', 'sharedfile'));
    source.configuration(4, configuration);
    for (const chunk_bytes of [1, 100, 1_000_000]) {
      const hash = source.state.hash();
      const { meta, chunks } = source.snapshot(chunk_bytes);
      feed(source, boot(source.state.index));
      const taken = await chunksOf(chunks);
      feed(source, boot(source.state.index));
      assert.deepEqual(await chunksOf(chunks), taken, 'the same when it is read again');
      assert.ok(taken.every((chunk) => chunk.length <= chunk_bytes));
      const target = await machineIn(`target-${chunk_bytes}`);
      await target.restore(meta, stream(taken));
      assert.equal(target.state.hash(), hash);
      assert.equal(target.state.index, meta.index);
    }
  });

  it('replace everything, durably, and tell what differs', async () => {
    const source = await machineIn('source');
    feed(source, ...three_nodes, instanceAdd('new'));
    source.configuration(4, configuration);
    const { meta, chunks } = source.snapshot(64);
    const target = await machineIn();
    feed(target, init, instanceAdd('old', 'sharedfile'));
    await target.flush();
    feed(target, instanceAdd('never-flushed'));
    const heard: Change[] = [];
    target.onChanges((_, changes) => heard.push(...changes));
    await target.restore(meta, chunks);
    assert.deepEqual(
      heard
        .filter(({ table }) => table === 'instances')
        .map(({ key, value }) => [key, value !== null])
        .sort(),
      [
        ['instance-never-flushed', false],
        ['instance-new', true],
        ['instance-old', false],
      ],
    );
    feed(target, boot(9));
    await target.flush();
    const after = await reopened(target);
    assert.equal(after.state.hash(), target.state.hash());
    assert.deepEqual(after.durable, { index: 7, term: 7, configuration });
  });

  it('that are bad change nothing', async () => {
    const source = await machineIn('source');
    feed(source, ...three_nodes, instanceAdd('web1'));
    const { meta, chunks } = source.snapshot(50);
    const good = await chunksOf(chunks);
    const all = Buffer.concat(good);
    const flipped = Buffer.from(all);
    flipped[flipped.lastIndexOf('web1')]! ^= 1;
    const target = await machineIn();
    feed(target, init, instanceAdd('kept'));
    await target.flush();
    const hash = target.state.hash();
    const bad: readonly (readonly [string, Uint8Array, number, RegExp])[] = [
      ['a flipped bit', flipped, meta.index, /hash to/],
      ['a missing end', all.subarray(0, -8), meta.index, /ends/],
      ['nothing at all', new Uint8Array(0), meta.index, /ends early/],
      ['something else', Buffer.from('GET / HTTP/1.1\r\n\r\n'), meta.index, /record of \d+ bytes/],
      ['a lost record', withoutRecord(all, 2), meta.index, /has \d+ objects: expected \d+/],
      ['something behind the end', Buffer.concat([all, all]), meta.index, /after its end/],
      ['another index', all, meta.index + 1, /stands for index 6: expected 7/],
    ];
    for (const [what, bytes, index, message] of bad) {
      await assert.rejects(target.restore({ ...meta, index }, stream([bytes])), message, what);
      assert.equal(target.state.hash(), hash, what);
    }
    await assert.rejects(
      target.restore(
        meta,
        (async function* () {
          yield good[0]!;
          throw new Error('the sender is gone');
        })(),
      ),
      /sender is gone/,
    );
    const after = await reopened(target);
    assert.equal(after.state.hash(), hash);
  });

  it('that are older than what is applied are refused', async () => {
    const machine = await machineIn();
    feed(machine, init);
    const { meta, chunks } = machine.snapshot(1_000);
    feed(machine, boot(2));
    await assert.rejects(machine.restore(meta, chunks), /older than what is applied/);
    assert.equal(machine.state.get('nodes', 'node-1')?.boot, 2);
  });

  it('and flushes asked for at the same time take turns', async () => {
    const source = await machineIn('source');
    feed(source, ...three_nodes, instanceAdd('new'));
    const { meta, chunks } = source.snapshot(1_000);
    const target = await machineIn();
    feed(target, init, instanceAdd('old'));
    const flushes = [target.flush(), target.restore(meta, chunks), target.flush()];
    await Promise.all(flushes);
    await target.flush();
    const after = await reopened(target);
    assert.equal(after.state.hash(), source.state.hash());
  });
});

/** What a simulation would hand in: nothing but a map, which can refuse to be written. */
class MemoryImage implements Image {
  readonly initial: Image['initial'] = null;
  readonly #objects = new Map<string, Change>();
  #meta: ImageMeta | null = null;
  failing = false;

  async write(meta: ImageMeta, changes: readonly Change[]): Promise<void> {
    await Promise.resolve();
    if (this.failing) throw new Error('the disk is full');
    this.#meta = meta;
    for (const change of changes) {
      if (change.value === null) this.#objects.delete(`${change.table}/${change.key}`);
      else this.#objects.set(`${change.table}/${change.key}`, change);
    }
  }

  async replace(meta: ImageMeta, objects: readonly Change[]): Promise<void> {
    this.#objects.clear();
    await this.write(meta, objects);
  }

  async close(): Promise<void> {
    await Promise.resolve();
  }

  asFound(): Image {
    return Object.assign(new MemoryImage(), {
      initial: { meta: this.#meta!, objects: [...this.#objects.values()] },
    });
  }
}
