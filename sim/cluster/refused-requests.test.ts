/** What no replica would take is refused before it is written to any log, by whichever way it comes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Trace } from '../kit/trace.ts';
import { SimCluster } from './cluster.ts';

const habits = {
  sync_ms: 1,
  pipe_ms: 0.1,
  deaf_guests: 0,
  mute_monitors: 0,
  master_ip_fails: 0,
  master_ip_hangs: 0,
  os_fails: 0,
  start_fails: 0,
};
const delay = { OP_ID: 'OP_TEST_DELAY', duration: 0 };
const ids = '1 to 128 characters of A-Z, a-z, 0-9 and ._:-';

test('requests, archives and tokens of a wrong shape cost no entry', async () => {
  const cluster = new SimCluster({
    seed: 1,
    nodes: 1,
    trace: new Trace(),
    turn: (next) => void setImmediate(next),
    drift: 0,
    lease: 'scaled',
    candidate_pool_size: 3,
    delays: { least_ms: 0.1, mean_ms: 0.3 },
    habits,
  });
  await cluster.found();
  const [host] = cluster.hosts;
  const refused = async (act: () => Promise<unknown>): Promise<string> => {
    const { member } = host!;
    const before = member!.replica.status().commit;
    const answer = act().then(
      () => 'taken',
      (error: Error & { code: string }) => `${error.code}: ${error.message}`,
    );
    const said = await cluster.done('an answer', 30_000, answer);
    assert.equal(member!.replica.status().commit, before, said);
    return said;
  };
  const submit = (request_id: string) => () =>
    host!.agent!.call('submit', { request_id, jobs: [{ ops: [delay] }] });
  assert.ok(
    (await refused(submit('with a space'))).includes(
      `invalid: submit: ✖ "with a space" is no id: expected ${ids}`,
    ),
  );
  assert.match(await refused(submit('x'.repeat(129))), /^invalid: .*expected 1 to 128 characters/);
  assert.match(
    await refused(() => host!.agent!.call('token.revoke', { id: 'no such id' })),
    /^invalid: token-revoke\.id: "no such id" is no id/,
  );
  // Another agent's word, past its own local checks.
  const lead = (method: string, params: unknown) => () =>
    host!.member!.leader.call(method, params, { timeout_ms: 5_000, repeat: true });
  assert.match(
    await refused(lead('lead.submit', { request_id: 'a b', jobs: [{ ops: [delay] }] })),
    /^invalid: job-submit\.request_id: "a b" is no id/,
  );
  assert.match(
    await refused(lead('lead.propose', { command: { type: 'job-archive', time: 1, jobs: [0] } })),
    /^invalid: job-archive\.jobs\.0: /,
  );
  assert.match(
    await refused(lead('lead.propose', { command: { type: 'no-such', time: 1 } })),
    /^invalid: unknown command "no-such"/,
  );
});
