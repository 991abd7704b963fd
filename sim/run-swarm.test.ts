/** The long run as people start it: it keeps its account, goes on from it, and ends in order when it is told to. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readState } from './run-swarm-state.ts';

const program = fileURLToPath(new URL('./run-swarm.ts', import.meta.url));
const short = ['--hours', '0.005', '--nodes', '3', '--seed', '0x51'];
let dir: string;
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'skein-swarm-'));
});
after(() => rmSync(dir, { recursive: true, force: true }));

function start(args: readonly string[]) {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { out: '', err: '' };
  child.stdout.on('data', (chunk: Buffer) => {
    said.out += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    said.err += chunk.toString();
  });
  return { child, said };
}

const ended = (child: ChildProcess) =>
  new Promise<number | null>((resolve) => void child.on('close', (code) => resolve(code)));

test('one run: a timeline, a summary, and the same again as JSON', { timeout: 120_000 }, async () => {
  const one = start(short);
  assert.equal(await ended(one.child), 0, one.said.out + one.said.err);
  assert.match(one.said.out, /n1 leads, in term \d+/);
  assert.match(one.said.out, /oracles: all held/);
  const again = start([...short, '--json']);
  assert.equal(await ended(again.child), 0);
  const { trace, breach, timeline } = JSON.parse(again.said.out) as Record<string, unknown>;
  assert.ok(one.said.out.includes(`trace ${String(trace)}`), 'a timeline, or JSON, changes nothing');
  assert.equal(breach, null);
  assert.ok((timeline as unknown[]).length > 5);
});

test('a budget: stopped by SIGTERM, then resumed from its account', { timeout: 240_000 }, async () => {
  const file = join(dir, 'account.json');
  const args = [...short, '--jobs', '2', '--resume', file];
  const { child, said } = start(['--forever', ...args]);
  const code = ended(child);
  await new Promise<void>((resolve) => {
    child.stdout.on('data', () => {
      if (/^seed 0x/m.test(said.out)) resolve();
    });
  });
  child.kill('SIGTERM');
  assert.equal(await code, 0, said.out + said.err);
  assert.match(said.out, /stopped; 2 seeds under way|stopped; 1 seeds under way/);
  const before_it = readState(file)!;
  assert.ok(before_it.seeds >= 1 && before_it.open.length >= 1, JSON.stringify(before_it));
  const more = start(['--budget', '1', ...args]);
  assert.equal(await ended(more.child), 0, more.said.out + more.said.err);
  const after_it = readState(file)!;
  assert.ok(after_it.seeds > before_it.seeds);
  assert.deepEqual(after_it.open, [], 'what was open was run');
  assert.ok(after_it.repeated >= 1);
});

test('wrong arguments are told apart from broken rules', { timeout: 60_000 }, async () => {
  for (const args of [['--nodes', 'x'], ['--budget', '2x'], ['--nonsense'], ['--resume', 'f']]) {
    const { child, said } = start(args);
    assert.equal(await ended(child), 2, said.out);
    assert.match(said.err, /^sim: .*\nTry: /);
  }
});
