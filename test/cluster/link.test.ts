/**
 * Cut links: the leader's in both directions and in each one, and a minority of one. Who is cut off gives up the lead
 * and the master IP by itself, promises nothing and says what to try; everybody else goes on.
 */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { labCut, labHeal } from '../../cli/lab/faults.ts';
import {
  assertCommits,
  cli,
  cliOk,
  holdsMasterIp,
  type Lab,
  leaderOf,
  othersThan,
  rows,
  sameState,
  statusOf,
  suiteLab,
  waitUntil,
} from './support.ts';
import { MasterIpWatch } from './support-master-ip.ts';

/** A new leader is there long before this: it waits for nothing but an election or two. */
const takeover_bound_ms = 20_000;

describe('cut links', { timeout: 400_000 }, () => {
  const started = suiteLab();
  let lab: Lab;
  before(() => {
    lab = started();
  });

  for (const direction of ['both', 'in', 'out'] as const) {
    test(`the leader's link is cut (${direction}): another leads; the old one lets go by itself and stays so when the link returns`, async (t) => {
      await sameState(lab);
      const old = await leaderOf(lab);
      const others = othersThan(lab, old);
      const [follower = ''] = others;
      const watch = new MasterIpWatch(lab);
      t.after(() => watch.stop());
      await watch.answeredBy(old);
      const before_term = (await statusOf(lab, old))?.term ?? 0;

      await labCut(lab, old, direction);
      const cut_ms = Date.now();
      t.after(() => labHeal(lab, old));
      const next = await leaderOf(lab, { among: others });
      await assertCommits(lab, follower);
      const answer = await watch.answeredBy(next, cut_ms);
      const took_ms = answer.at_ms - cut_ms;
      t.diagnostic(`${next} answered on the master IP ${took_ms} ms after the cut`);
      assert.ok(took_ms < takeover_bound_ms, `${took_ms} ms`);

      await waitUntil(
        async () => (await statusOf(lab, old))?.role !== 'leader',
        `${old} to give up the lead`,
      );
      await waitUntil(
        async () => !(await holdsMasterIp(lab, old)),
        `${old} to let go of the master IP`,
        takeover_bound_ms,
      );
      assert.equal((await statusOf(lab, old))?.master_ip_held, false);
      assert.equal(await holdsMasterIp(lab, next), true);

      await labHeal(lab, old);
      await waitUntil(async () => {
        assert.equal(await holdsMasterIp(lab, old), false, `${old} does not take the address back`);
        const status = await statusOf(lab, old);
        return status?.leader === next && status.role !== 'leader';
      }, `${old} to follow ${next}`);
      await sameState(lab);
      const names = watch.names(answer.at_ms);
      assert.deepEqual(names, [next], 'after the takeover a client reaches nobody else');
      assert.ok(((await statusOf(lab, next))?.term ?? 0) > before_term);
      assert.equal(await leaderOf(lab), next, 'the lead is not disturbed by the one who returns');
    });
  }

  test('a minority of one refuses writes and current reads, names what to try, answers --stale; nothing of it is kept', async (t) => {
    const leader = await leaderOf(lab);
    const [alone = '', other = ''] = othersThan(lab, leader);
    await sameState(lab);
    await labCut(lab, alone);
    t.after(() => labHeal(lab, alone));
    await assertCommits(lab, other);
    await waitUntil(
      async () => (await statusOf(lab, alone))?.leader === '',
      `${alone} to see that it has no leader`,
    );

    const [read, write, token, stale, table] = await Promise.all([
      cli(lab, alone, ['instance', 'list']),
      cli(lab, alone, ['tag', 'add', 'cluster', 'from-the-minority']),
      cli(lab, alone, ['node', 'add', 'n9']),
      cli(lab, alone, ['--json', 'node', 'list', '--stale']),
      cli(lab, alone, ['node', 'list', '--stale', '-o', 'name']),
    ]);
    for (const [what, refused] of Object.entries({ read, write, token })) {
      assert.equal(refused.code, 11, `${what}: ${refused.stderr}`);
      assert.match(refused.stderr, /^skein: no leader answered within \d+ s/, what);
      assert.match(refused.stderr, /\nTry: .*--stale/, what);
      assert.equal(refused.stdout, '', what);
    }
    assert.equal(stale.code, 0, stale.stderr);
    assert.match(stale.stderr, /answered from this node’s copy, [\d.]+ s old/);
    assert.match(table.stdout, /n1[\s\S]*n2[\s\S]*n3/);

    // The majority does not know of it, nor will it.
    await cliOk(lab, other, ['tag', 'add', 'cluster', 'from-the-majority']);
    await labHeal(lab, alone);
    await sameState(lab);
    for (const { name } of lab.nodes) {
      const tags = await waitUntil(() => rows(lab, name, 'tag'), `${name} to answer`);
      assert.deepEqual(
        tags.map((row) => row.tag),
        ['from-the-majority'],
        `on ${name}`,
      );
    }
    await assertCommits(lab, alone);
  });

  test('a leader alone: what was asked of it is not answered as done, and is done at most once', async (t) => {
    const old = await leaderOf(lab);
    const others = othersThan(lab, old);
    await labCut(lab, old);
    t.after(() => labHeal(lab, old));
    const asked = cli(lab, old, ['tag', 'add', 'cluster', 'asked-of-the-old']);
    const next = await leaderOf(lab, { among: others });
    await assertCommits(lab, next);
    const answer = await asked;
    assert.notEqual(answer.code, 0, answer.stdout);
    assert.match(answer.stderr, /\nTry: /);
    const tags = (await rows(lab, next, 'tag')).map((row) => row.tag);
    assert.ok(!tags.includes('asked-of-the-old'), `${tags.join(' ')}`);
    await labHeal(lab, old);
    await sameState(lab);
  });
});
