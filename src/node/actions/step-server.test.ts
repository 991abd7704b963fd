import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { StateView } from '../../config/api.ts';
import { stepKey } from '../../config/keys.ts';
import { cluster } from '../../config/test-fixtures.ts';
import type { OsDriver } from '../../drivers/types.ts';
import { openJournal } from '../journal.ts';
import { recordsIn } from '../real-host.ts';
import { createTestEnv, settled, type TestEnv } from '../test-env.ts';
import { createStepServer, type StepCall, type StepServer } from './index.ts';
import type { ActionWorld } from './types.ts';

interface OpenStep {
  node: string;
  verb: string;
  status: string;
  undo: { verb: string } | null;
}

interface Rig {
  readonly env: TestEnv;
  readonly server: StepServer;
  readonly steps: Map<string, OpenStep>;
  /** What happened, in order. */
  readonly acts: string[];
  /** Ends the program of os.create. */
  finish(): void;
  term: number;
  lease: string | null;
  /** The program does not die of a kill. */
  stubborn: boolean;
}

const key = { job: 5, op: 0, step: 2, undo: false };
const create: StepCall = {
  key,
  term: 3,
  index: 10,
  verb: 'os.create',
  args: { instance: 'i1', reinstall: false, osparams: {} },
};
const undo: StepCall = {
  ...create,
  key: { ...key, step: 1, undo: true },
  verb: 'instance.cleanup',
  args: { instance: 'i1', name: 'web', hypervisor: 'fake' },
};

async function createRig(t: TestContext): Promise<Rig> {
  const dir = await mkdtemp(join(tmpdir(), 'skein-steps-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const env = createTestEnv();
  const acts: string[] = [];
  let gate = Promise.withResolvers<void>();
  const os: Partial<OsDriver> = {
    create: async (_run, onLine, signal) => {
      acts.push('begins');
      onLine('working');
      signal.addEventListener('abort', () => {
        // A program takes its time to die.
        if (rig.stubborn) return;
        env.after(300, () => gate.reject(new Error('killed')));
      });
      gate = Promise.withResolvers<void>();
      await gate.promise.finally(() => acts.push('ended'));
    },
  };
  const steps = new Map<string, OpenStep>([
    [stepKey(5, 0, 2), { node: 'n1', verb: 'os.create', status: 'open', undo: null }],
    [
      stepKey(5, 0, 1),
      { node: 'n1', verb: 'disk.create', status: 'done', undo: { verb: 'instance.cleanup' } },
    ],
    [stepKey(6, 0, 0), { node: 'n1', verb: 'node.verify', status: 'open', undo: null }],
  ]);
  const instance = {
    uuid: 'i1',
    name: 'web',
    disks: [],
    nics: [],
    disk_template: 'diskless',
    os: 'noop',
    hypervisor: 'fake',
    owner: { node: 'n1', boot: 1, epoch: 1 },
    hvparams: {},
    beparams: {},
    osparams: {},
    tags: [],
  };
  const state = {
    get: (table: string, name: string) =>
      table === 'steps'
        ? steps.get(name)
        : table === 'instances' && name === 'i1'
          ? instance
          : table === 'cluster'
            ? cluster
            : undefined,
    list: () => [],
  } as unknown as StateView;
  const rig = { term: 3, lease: null as string | null, stubborn: false };
  const world = {
    env,
    state,
    drivers: {
      os,
      hypervisors: new Map([
        [
          'fake',
          {
            list: async () => [],
            cleanup: async () => {
              acts.push('undone');
            },
          },
        ],
      ]),
    },
    node_uuid: 'n1',
    boot: 1,
    log_dir: dir,
    version: '0',
    mayStart: () => rig.lease,
    hash: () => ({ index: 0, hash: '' }),
  } as unknown as ActionWorld;
  const server = createStepServer({
    world,
    journal: await openJournal(recordsIn(await mkdtemp(join(dir, 'journal-')))),
    term: () => rig.term,
    waitApplied: async (index) => {
      assert.equal(index, 10);
    },
    acted: () => undefined,
  });
  return Object.assign(rig, { env, server, steps, acts, finish: () => gate.resolve() });
}

const quiet = () => undefined;
/** Waits for real I/O (the journal's) until the program runs. */
async function begun(rig: Rig): Promise<void> {
  while (!rig.acts.includes('begins')) await settled();
}

test('nothing is done for a call that came too late, was meant for another, or has no lease', async (t) => {
  const rig = await createRig(t);
  const cases: readonly (readonly [string, StepCall, () => void])[] = [
    ['term 2 is over, it is 3', { ...create, term: 2 }, () => undefined],
    ['job 9 has no open step 0/2', { ...create, key: { ...key, job: 9 } }, () => undefined],
    [
      'step 0/2 of job 5 is for another node',
      create,
      () => rig.steps.set(stepKey(5, 0, 2), { node: 'n2', verb: 'os.create', status: 'open', undo: null }),
    ],
    [
      'step 0/2 of job 5 is failed',
      create,
      () => rig.steps.set(stepKey(5, 0, 2), { node: 'n1', verb: 'os.create', status: 'failed', undo: null }),
    ],
    [
      'step 0/2 of job 5 is disk.create, the call says os.create',
      create,
      () => rig.steps.set(stepKey(5, 0, 2), { node: 'n1', verb: 'disk.create', status: 'open', undo: null }),
    ],
    [
      'os.create needs a lease: none yet',
      create,
      () => {
        rig.steps.set(stepKey(5, 0, 2), { node: 'n1', verb: 'os.create', status: 'open', undo: null });
        rig.lease = 'none yet';
      },
    ],
  ];
  for (const [message, call, prepare] of cases) {
    prepare();
    await assert.rejects(rig.server.serve(call, quiet), { code: 'refused', message });
  }
  assert.deepEqual(rig.acts, []);
});

test('a second leader joins the act that the first began, and sees its progress', async (t) => {
  const rig = await createRig(t);
  const first = rig.server.serve(create, quiet);
  await begun(rig);
  rig.term = 4;
  const second = rig.server.serve({ ...create, term: 4 }, quiet);
  await settled();
  rig.finish();
  assert.deepEqual(await Promise.all([first, second]), [null, null]);
  assert.deepEqual(rig.acts, ['begins', 'ended']);
});

test('an undo ends what its op still does here, and acts only after that', async (t) => {
  const rig = await createRig(t);
  const forward = assert.rejects(rig.server.serve(create, quiet), {
    code: 'failed',
    message: 'its op is being undone: killed',
  });
  await begun(rig);
  rig.steps.get(stepKey(5, 0, 2))!.status = 'failed';
  const undone = rig.server.serve(undo, quiet);
  await rig.env.advance(200);
  assert.deepEqual(rig.acts, ['begins']);
  await rig.env.advance(200);
  assert.equal(await undone, null);
  await forward;
  assert.deepEqual(rig.acts, ['begins', 'ended', 'undone']);
  await assert.rejects(rig.server.serve(create, quiet), { code: 'refused' }, 'late: finds nothing to do');
});

test('an undo does not go on beside an act that does not end', async (t) => {
  const rig = await createRig(t);
  rig.stubborn = true;
  const forward = rig.server.serve(create, quiet);
  await begun(rig);
  const refused = assert.rejects(rig.server.serve(undo, quiet), {
    code: 'refused',
    message: '1 acts of job 5 op 0 have not ended yet on this node',
  });
  await rig.env.advance(20_000);
  await refused;
  assert.deepEqual(rig.acts, ['begins']);
  rig.finish();
  await forward;
});

test('when the log says that the step is over, its program ends; a caller that goes away ends nothing', async (t) => {
  const rig = await createRig(t);
  const served = rig.server.serve(create, quiet);
  await begun(rig);
  rig.server.wake();
  await rig.env.advance(1_000);
  assert.deepEqual(rig.acts, ['begins'], 'open: it goes on');
  rig.steps.get(stepKey(5, 0, 2))!.status = 'node-lost';
  rig.server.wake();
  const failed = assert.rejects(served, { code: 'failed', message: 'its step is node-lost: killed' });
  await rig.env.advance(1_000);
  await failed;
});

test('the lease gone: programs that write are ended; leaving: everything is, and nothing begins', async (t) => {
  const rig = await createRig(t);
  const served = assert.rejects(rig.server.serve(create, quiet), /this node lost its lease: killed/);
  await begun(rig);
  rig.server.leaseLost();
  await rig.env.advance(1_000);
  await served;
  await rig.server.close('this host leaves');
  await assert.rejects(
    rig.server.serve({ ...create, key: { job: 6, op: 0, step: 0, undo: false }, verb: 'node.verify' }, quiet),
    { code: 'refused', message: 'this host leaves' },
  );
});
