/** hbal's `--search`. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { generateCluster } from '../../bench/placement/generate.ts';
import { planCost } from '../../bench/placement/plan-cost.ts';
import { formatTextCluster } from '../../src/placement/text-format-write.ts';
import { hbal } from './hbal.ts';
import { runHtool } from './test-world.ts';

const cluster = generateCluster({ nodes: 6, instances: 36, seed: 21 });
const run = (...more: readonly string[]) =>
  runHtool(hbal, ['-v', '-t', 'cluster', ...more], () => formatTextCluster(cluster));

it('ends lower than without, says where that would have ended, and lists the same commands', async () => {
  const usual = planCost((await run()).out, cluster);
  const { out, err, status } = await run('--search=0.05', '-C');
  const searched = planCost(out, cluster);
  assert.deepEqual([err, status], ['', 0]);
  assert.ok(searched.final_score < usual.final_score);
  assert.match(
    out,
    new RegExp(`^Without a search: ${usual.final_score.toFixed(8)} after ${usual.moves} moves$`, 'm'),
  );
  assert.match(out, new RegExp(`^Solution length=${searched.moves}$`, 'm'));
  assert.equal(out.match(/^ *echo job /gm)?.length, searched.moves);
});

it('refuses a time that is none, and an evacuation', async () => {
  for (const [given, message] of [
    ['--search=0', /search: '0': expected seconds, more than 0/],
    ['--search=soon', /search: cannot parse string 'soon'/],
  ] as const) {
    const { err, status } = await run(given);
    assert.match(err, message);
    assert.equal(status, 1);
  }
  const { err, status } = await run('--search=1', '-E');
  assert.match(err, /--search and --evac-mode: .*expected one of them/);
  assert.equal(status, 1);
});
