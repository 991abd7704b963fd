import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Outcome, openJournal } from './journal.ts';
import { recordsIn } from './real-host.ts';

const key = { job: 7, op: 0, step: 1, undo: false };
const done = (value: unknown): Outcome => ({ ok: true, value });

async function directory(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'skein-journal-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

test('a second call joins the first, a third gets its outcome, also after a restart', async (t) => {
  const path = await directory(t);
  const journal = await openJournal(recordsIn(path));
  let acts = 0;
  const gate = Promise.withResolvers<Outcome>();
  const act = () => {
    acts += 1;
    return gate.promise;
  };
  const first = journal.once(key, 'os.create', act);
  const second = journal.once(key, 'os.create', act);
  assert.equal(journal.running(), 1);
  gate.resolve(done('made'));
  assert.deepEqual(await Promise.all([first, second]), [done('made'), done('made')]);
  const again = await openJournal(recordsIn(path));
  assert.deepEqual(await again.once(key, 'os.create', act), done('made'));
  assert.equal(acts, 1);
  assert.deepEqual(again.jobs(), [7]);
});

test('the key is on disk before the act; died in between, the act is done again', async (t) => {
  const path = await directory(t);
  const journal = await openJournal(recordsIn(path));
  let files: readonly string[] = [];
  const died = journal.once(key, 'os.create', async () => {
    files = await readdir(path);
    throw new Error('the agent died');
  });
  await assert.rejects(died, /died/);
  assert.deepEqual(files, ['7.0.1.json']);
  const again = await openJournal(recordsIn(path));
  assert.deepEqual(again.jobs(), [7]);
  assert.deepEqual(await again.once(key, 'os.create', async () => done('second')), done('second'));
});

test('a failure is an outcome; the undo of a step is a key of its own', async (t) => {
  const journal = await openJournal(recordsIn(await directory(t)));
  const failed: Outcome = { ok: false, message: 'no space' };
  assert.deepEqual(await journal.once(key, 'disk.create', async () => failed), failed);
  assert.deepEqual(await journal.once(key, 'disk.create', async () => done(1)), failed);
  assert.deepEqual(
    await journal.once({ ...key, undo: true }, 'disk.remove', async () => done('gone')),
    done('gone'),
  );
});

test('forgets a job, but not while one of its steps runs; a key that comes back keeps its file', async (t) => {
  const path = await directory(t);
  const journal = await openJournal(recordsIn(path));
  const gate = Promise.withResolvers<Outcome>();
  const running = journal.once(key, 'os.create', () => gate.promise);
  await journal.forget(7);
  assert.deepEqual(journal.jobs(), [7]);
  gate.resolve(done(1));
  await running;
  const forgotten = journal.forget(7);
  const back = journal.once(key, 'os.create', async () => done(2));
  await forgotten;
  assert.deepEqual(await back, done(2));
  assert.deepEqual(await readdir(path), ['7.0.1.json']);
  await journal.forget(7);
  assert.deepEqual([await readdir(path), journal.jobs()], [[], []]);
});

test('what a crash left half written goes; what is no record is said by name', async (t) => {
  const path = await directory(t);
  await writeFile(join(path, '7.0.1.json.ab12.tmp'), '{"key"');
  assert.deepEqual((await openJournal(recordsIn(path))).jobs(), []);
  assert.deepEqual(await readdir(path), []);
  await writeFile(join(path, '7.0.1.json'), '{"key"');
  await assert.rejects(openJournal(recordsIn(path)), /7\.0\.1\.json is not JSON/);
});
