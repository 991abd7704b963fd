import { type TestContext, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { SceneName } from './test-relay-scenes.ts';

/** Runs a scene of test-relay-scenes.ts in a thread of its own; what it says is a diagnostic, what it throws fails. */
function run(name: SceneName, variant = 0) {
  return (t: TestContext) =>
    new Promise<void>((resolve, reject) => {
      const worker = new Worker(new URL('./test-relay-scenes.ts', import.meta.url), {
        workerData: { name, variant },
        execArgv: [],
      });
      worker.on('message', (line: string) => t.diagnostic(line));
      worker.on('error', reject);
      worker.on('exit', (code) =>
        code === 0 ? resolve() : reject(new Error(`the scene ended with ${code}`)),
      );
    });
}

test('sixty learners catch up through relays, and what the leader sends shrinks', run('cost'));
for (const seed of [1, 2, 3])
  test(
    `relays die one after the other, under load: all live learners keep up (seed ${seed})`,
    run('deaths', seed),
  );
test('another leader plants its own relays', run('leaders'));
test('a cut between the leader and a relay takes nothing from those below it', run('cutFromLeader'));
test('a relay that is behind loses those below it', run('behind'));
test('a cut from a relay to its child: the child gets another parent', run('cutFromChild', 0));
test('a cut from a child to its relay: the child gets another parent', run('cutFromChild', 1));
test('a cut between a relay and its child: the child gets another parent', run('cutFromChild', 2));
test(
  'a learner that becomes a voter is fed by the leader from the change on, also in a joint one',
  run('promotion'),
);
test('a relay and a child that were gone for long catch up, by snapshot where they must', run('comeback'));
