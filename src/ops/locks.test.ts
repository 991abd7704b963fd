import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { LockRequest } from '../config/model.ts';
import { createLockTable, max_overtakes, mergeLocks } from './locks.ts';

const shared = (name: string): LockRequest => ({ name, exclusive: false });
const exclusive = (name: string): LockRequest => ({ name, exclusive: true });

test('shared holders are together, an exclusive one is alone', () => {
  const table = createLockTable();
  table.request(1, 0, [shared('cluster'), shared('node/a')]);
  table.request(2, 0, [shared('cluster'), shared('node/a')]);
  table.request(3, 0, [shared('cluster'), exclusive('node/a')]);
  table.request(4, 0, [shared('cluster'), exclusive('node/b')]);
  assert.deepEqual(table.grant(10), [1, 2, 4]);
  assert.deepEqual(table.blockers(3), [
    { job: 1, lock: 'node/a' },
    { job: 2, lock: 'node/a' },
  ]);
  table.release(1);
  assert.deepEqual(table.grant(10), []);
  table.release(2);
  assert.deepEqual(table.grant(10), [3]);
});

test('a waiting job binds those behind it: the big lock is not starved by a stream of small ones', () => {
  const table = createLockTable();
  table.request(1, 0, [shared('cluster')]);
  assert.deepEqual(table.grant(10), [1]);
  table.request(2, 0, [exclusive('cluster')]);
  table.request(3, 0, [shared('cluster')]);
  assert.deepEqual(table.grant(10), []);
  assert.deepEqual(
    table.blockers(3).map((each) => each.job),
    [2],
  );
  table.release(1);
  assert.deepEqual(table.grant(10), [2]);
  table.release(2);
  assert.deepEqual(table.grant(10), [3]);
});

test('all or nothing: a job that waits for one lock holds none', () => {
  const table = createLockTable();
  table.request(1, 0, [exclusive('instance/a')]);
  table.grant(1);
  table.request(2, 0, [exclusive('instance/a'), exclusive('instance/b')]);
  assert.deepEqual(table.grant(1), []);
  assert.deepEqual(table.held(), [{ job: 1, lock: 'instance/a', exclusive: true }]);
});

test('lower priority numbers go first, then lower ids; slots bound a grant', () => {
  const table = createLockTable();
  for (const [job, priority] of [
    [1, 10],
    [2, 0],
    [3, 0],
    [4, -10],
  ] as const)
    table.request(job, priority, [shared('cluster')]);
  assert.deepEqual(table.grant(2), [4, 2]);
  table.request(1, -20, [shared('cluster')]);
  assert.deepEqual(table.grant(1), [1]);
}); // prettier-ignore

test('a job that more urgent ones keep overtaking is served in the end', () => {
  const table = createLockTable();
  table.request(1, -10, [exclusive('node/a')]);
  assert.deepEqual(table.grant(1), [1]);
  table.request(2, 10, [exclusive('node/a')]);
  let running = 1;
  let rounds = 0;
  for (; running !== 2 && rounds < max_overtakes * 2; rounds++) {
    table.request(rounds + 3, -10, [exclusive('node/a')]);
    table.release(running);
    running = table.grant(1)[0]!;
  }
  assert.equal(running, 2);
  assert.equal(rounds, max_overtakes + 1);
});

test('a running job takes its locks again; a contradiction is noticed', () => {
  const table = createLockTable();
  table.retake(1, [exclusive('node/a')]);
  assert.throws(() => table.retake(2, [shared('node/a')]), /job 2 takes node\/a, which job 1 holds/);
  assert.throws(() => table.request(1, 0, []), /job 1 asks again/);
});

test('one request a name: exclusive wins', () => {
  assert.deepEqual(mergeLocks([shared('b'), exclusive('a'), shared('a')]), [exclusive('a'), shared('b')]);
});

test('property: never an exclusive lock with another holder; every job is served', () => {
  const request = fc.record({
    name: fc.constantFrom('cluster', 'node/a', 'node/b', 'instance/x'),
    exclusive: fc.boolean(),
  });
  const job = fc.record({
    priority: fc.constantFrom(-10, 0, 10),
    locks: fc.array(request, { minLength: 1, maxLength: 3 }),
    release: fc.nat(5),
  });
  fc.assert(
    fc.property(
      fc.array(job, { minLength: 1, maxLength: 40 }),
      fc.integer({ min: 1, max: 5 }),
      (jobs, slots) => {
        const table = createLockTable();
        const running: number[] = [];
        const served = new Set<number>();
        const check = (): void => {
          for (const one of table.held()) {
            const others = table.held().filter((each) => each.lock === one.lock && each.job !== one.job);
            assert.ok(!one.exclusive || others.length === 0, `${one.lock} of job ${one.job} is not alone`);
          }
        };
        const step = (releases: number): void => {
          for (let n = 0; n < releases && running.length > 0; n++) table.release(running.shift()!);
          for (const granted of table.grant(slots - running.length)) {
            assert.ok(!served.has(granted));
            served.add(granted);
            running.push(granted);
          }
          check();
        };
        jobs.forEach(({ priority, locks, release }, position) => {
          table.request(position + 1, priority, locks);
          step(release);
        });
        for (let n = 0; n <= jobs.length; n++) step(slots);
        assert.equal(served.size, jobs.length);
        assert.equal(table.waiting, 0);
      },
    ),
    { numRuns: 1_000 },
  );
});
