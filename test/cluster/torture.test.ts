/**
 * `skein lab torture` on a lab of three: clients on all nodes change and read registers while agents are killed, hosts
 * stopped and links cut. What the clients saw must be linearizable, nothing acknowledged may be lost, and all must agree
 * afterwards. A run in which some kind of fault or of operation never happened proves nothing, and fails.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { faultKinds } from '../../cli/lab/torture/nemesis.ts';
import { tortureLab } from '../../cli/lab/torture.ts';
import { withHookedLab } from './jobs-support.ts';
import { assertCommits, patience_ms, rows, sameState } from './support.ts';

const least_seconds = 20;

test('killed, stopped, cut off: what clients saw is linearizable, and nothing acknowledged is lost', {
  timeout: 6 * patience_ms,
}, async (t) => {
  const lab = await withHookedLab(t);
  const scratch = mkdtempSync(join(tmpdir(), 'skt-'));
  t.after(() => rmSync(scratch, { recursive: true, force: true }));
  const history = join(scratch, 'history.jsonl');

  // Twenty seconds, or on a slow machine until every kind of fault has been done.
  const kinds = faultKinds(lab);
  const done = new Set<string>();
  const enough = new AbortController();
  const long_enough = AbortSignal.timeout(least_seconds * 1000);
  const look = (): void => {
    if (long_enough.aborted && kinds.every((kind) => done.has(kind))) enough.abort();
  };
  long_enough.addEventListener('abort', look);
  const report = await tortureLab(lab, {
    ...{ seconds: 120, history, clients: 6, seed: 1, signal: enough.signal },
    log: (line) => {
      const [kind = '', node] = line.split(' ');
      // A fault is counted when the next one begins: then it has had its time.
      look();
      if (lab.nodes.some(({ name }) => name === node)) done.add(kind);
      t.diagnostic(line);
    },
  });
  t.diagnostic(JSON.stringify(report));

  assert.deepEqual(report.linearizable, { ok: true });
  assert.equal(report.lost, 0);
  assert.ok(report.seconds >= least_seconds, `ended after ${report.seconds} s`);
  for (const kind of kinds) assert.ok((report.faults[kind] ?? 0) > 0, `no ${kind}`);
  const { write, cas, read } = report.counts;
  assert.ok(write.ok > 100 && read.ok > 100, JSON.stringify(report.counts));
  assert.ok(report.cas_refused > 0 && cas.ok > report.cas_refused, JSON.stringify(report));
  assert.ok(write.unknown + cas.unknown > 0, 'no fault met an operation under way');
  assert.equal(report.judged < readFileSync(history, 'utf8').split('\n').length, true);

  // It leaves the lab as it was: nothing of its own, all of one state, working.
  assert.deepEqual(await rows(lab, 'n1', 'instance'), []);
  for (const { name } of lab.nodes) await assertCommits(lab, name);
  await sameState(lab);
});
