/**
 * A cluster's whole life: hosts are removed, one of them while nobody could tell it so, the last one destroys the
 * cluster, and each of them may begin anew. Nothing of the old one is believed by anybody.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { labCut, labHeal } from '../../cli/lab/faults.ts';
import { withHookedLab } from './jobs-support.ts';
import { assertGroup, assertOutside, foundOn, joinVia } from './leave-support.ts';
import { assertCommits, cli, cliOk, leaderOf, rows, statusOf, waitUntil } from './support.ts';

test('a cluster is destroyed while a removed host is cut off; all may begin anew', {
  timeout: 240_000,
}, async (t) => {
  const lab = await withHookedLab(t);
  await cliOk(lab, 'n1', ['tag', 'add', 'cluster', 'old']);
  const early = await cli(lab, 'n1', ['cluster', 'destroy', '-f']);
  assert.equal(early.code, 1);
  assert.match(early.stderr, /still has 3 nodes: n1, n2, n3; remove all but one first/);

  await labCut(lab, 'n3');
  await leaderOf(lab, { among: ['n1', 'n2'] });
  // Not before it is proven lost: until then it is told how long to wait.
  await waitUntil(
    async () => {
      const { code, stderr } = await cli(lab, 'n2', ['node', 'remove', '-f', 'n3']);
      if (code === 0) return true;
      assert.match(stderr, /n3 does not answer and is not proven lost yet; try again in \d+ s/);
      return null;
    },
    'n3 to be removed',
    60_000,
    500,
  );
  await assertGroup(lab, ['n1', 'n2'], 'without n3');
  await cliOk(lab, 'n1', ['node', 'remove', '-f', 'n2']);
  await assertOutside(lab, 'n2', 'removed');

  const destroyed = await cli(lab, 'n1', ['cluster', 'destroy', '--yes-do-it']);
  assert.equal(destroyed.code, 0, destroyed.stderr);
  assert.match(destroyed.stderr, /CLUSTER_DESTROY|cluster lab is destroyed/);
  await assertOutside(lab, 'n1', 'destroyed');
  const after = await cli(lab, 'n1', ['node', 'list']);
  assert.equal(after.code, 5);
  assert.match(after.stderr, /this host is in no cluster\nTry: skein cluster init/);

  // Nobody could tell it: it waits for a leader that will not come, and says what an operator can do.
  await labHeal(lab, 'n3');
  assert.equal((await statusOf(lab, 'n3'))?.in_cluster, true);
  const stays = await cli(lab, 'n3', ['node', 'leave']);
  assert.equal(stays.code, 1, stays.stderr);
  assert.match(stays.stderr, /cluster lab cannot be asked .*\nTry: .*skein node leave --force/s);
  assert.equal((await statusOf(lab, 'n3'))?.in_cluster, true);
  assert.match(await cliOk(lab, 'n3', ['node', 'leave', '--force']), /has left cluster lab/);
  await assertOutside(lab, 'n3', 'left by force');

  await foundOn(lab, 'n2');
  await joinVia(lab, 'n2', 'n3', 1);
  await joinVia(lab, 'n2', 'n1', 3);
  await assertGroup(lab, ['n1', 'n2', 'n3'], 'begun anew');
  assert.deepEqual(await rows(lab, 'n1', 'tag'), []);
  await assertCommits(lab, 'n3');
});
