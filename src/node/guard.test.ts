import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import type { StateView } from '../config/api.ts';
import type { Instance } from '../config/model.ts';
import { cluster, group, node } from '../config/test-fixtures.ts';
import type { GuestInfo, HypervisorDriver } from '../drivers/types.ts';
import { createGuard, type Guard } from './guard.ts';
import type { LeaseStage } from './ha-types.ts';
import { createTestEnv, type TestEnv } from './test-env.ts';

interface FakeGuest {
  uuid: string;
  epoch: number;
  state: GuestInfo['state'];
}

interface Rig {
  readonly env: TestEnv;
  readonly guests: Map<string, FakeGuest>;
  readonly owners: Map<string, { node: string; boot: number; epoch: number }>;
  readonly acts: string[];
  /** How often the guests were listed. */
  looks: number;
  /** Guests whose pause (or stop, or the listing of all: `list`) never answers. */
  readonly hung: Set<string>;
  readonly unprotected: Set<string>;
  stage: LeaseStage;
  left_ms: number;
  refusal: string | null;
  /** Runs when the keeper is told. */
  told: (name: string, proven: boolean) => void;
  start(): Guard;
}

const guards: Guard[] = [];
afterEach(() => {
  for (const guard of guards.splice(0)) guard.stop();
});
const never = new Promise<never>(() => undefined);

function createRig(): Rig {
  const env = createTestEnv();
  const guests = new Map<string, FakeGuest>();
  const acts: string[] = [];
  const driver: Partial<HypervisorDriver> = {
    name: 'fake',
    list() {
      rig.looks += 1;
      if (rig.hung.has('list')) return never;
      return Promise.resolve(
        [...guests].map(([name, guest]) => ({ name, ...guest, memory_mib: 1, vcpus: 1, pid: 1 })),
      );
    },
    async stop(name) {
      acts.push(`stop ${name}`);
      if (rig.hung.has(`stop ${name}`)) return never;
      guests.delete(name);
    },
    async cleanup(name) {
      acts.push(`cleanup ${name}`);
    },
    async pause(name) {
      acts.push(`pause ${name}`);
      if (rig.hung.has(name)) return never;
      guests.get(name)!.state = 'paused';
    },
    async resume(name) {
      acts.push(`resume ${name}`);
      guests.get(name)!.state = 'running';
    },
  };
  let listed: { readonly text: string; readonly owners: readonly unknown[] } = { text: '', owners: [] };
  const state = {
    /** As the state does it: the same array until something changes. */
    list() {
      const text = JSON.stringify([...rig.owners]);
      if (text !== listed.text) listed = { text, owners: [...rig.owners] };
      return listed.owners;
    },
    get(table: string, key: string) {
      const owner = rig.owners.get(key);
      if (table === 'instances') return owner ? ({ uuid: key, owner } as Partial<Instance>) : undefined;
      return { cluster, groups: group, nodes: node }[table];
    },
  } as unknown as StateView;
  const rig: Rig = {
    env,
    guests,
    owners: new Map(),
    acts,
    looks: 0,
    hung: new Set(),
    unprotected: new Set(),
    stage: 'ok',
    left_ms: 3_500,
    refusal: null,
    told: () => undefined,
    start() {
      const guard = createGuard({
        env,
        state,
        drivers: { hypervisors: new Map([['fake', driver as HypervisorDriver]]) },
        node_uuid: 'n1',
        boot: 1,
        stage: () => rig.stage,
        left_ms: () => rig.left_ms,
        mayStart: () => rig.refusal,
        isProtected: (instance) => !rig.unprotected.has(instance.uuid),
        async setPaused(name, proven) {
          acts.push(`keeper ${name} ${proven}`);
          rig.told(name, proven);
        },
        changed: () => undefined,
      });
      guards.push(guard);
      return guard;
    },
  };
  return rig;
}

function add(rig: Rig, name: string, epoch = 1, owner_epoch = epoch): void {
  rig.guests.set(name, { uuid: `u-${name}`, epoch, state: 'running' });
  rig.owners.set(`u-${name}`, { node: 'n1', boot: 1, epoch: owner_epoch });
}

function set(rig: Rig, stage: LeaseStage): void {
  rig.stage = stage;
  rig.refusal = stage === 'ok' ? null : `stage ${stage}`;
}

test('pauses at the stage for it, resumes when the lease is back; the keeper is told in the right order', async () => {
  const rig = createRig();
  add(rig, 'web');
  add(rig, 'own');
  rig.unprotected.add('u-own');
  rig.start();
  await rig.env.advance(3_000);
  assert.deepEqual(rig.acts, []);
  set(rig, 'pause');
  await rig.env.advance(1_000);
  assert.deepEqual(rig.acts, ['pause web', 'keeper web true']);
  assert.equal(rig.guests.get('own')!.state, 'running');
  set(rig, 'suspect');
  await rig.env.advance(1_000);
  assert.equal(rig.acts.length, 2, 'nothing is resumed on a lease in doubt');
  set(rig, 'ok');
  await rig.env.advance(1_000);
  assert.deepEqual(rig.acts.slice(2), ['keeper web false', 'resume web']);
});

test('at the end of the lease it kills what is not proven paused, and only that', async () => {
  const rig = createRig();
  add(rig, 'paused');
  add(rig, 'hangs');
  rig.hung.add('hangs');
  rig.start();
  set(rig, 'pause');
  rig.left_ms = 300;
  await rig.env.advance(310);
  assert.deepEqual(rig.guests.get('paused')!.state, 'paused', 'one that hangs holds up no other');
  set(rig, 'kill');
  rig.left_ms = 0;
  await rig.env.advance(400);
  assert.deepEqual([...rig.guests.keys()], ['paused']);
  assert.ok(rig.acts.includes('stop hangs'));
  // Proof is what the hypervisor says now: something made it run again.
  rig.guests.get('paused')!.state = 'running';
  await rig.env.advance(400);
  assert.deepEqual([...rig.guests.keys()], []);
});

test('one kill that hangs does not keep the others alive', async () => {
  const rig = createRig();
  add(rig, 'a');
  add(rig, 'b');
  rig.hung.add('stop a');
  set(rig, 'kill');
  rig.start();
  await rig.env.advance(100);
  assert.deepEqual([...rig.guests.keys()], ['a']);
});

test('a pause that took effect after it was given up is undone when the lease is back', async () => {
  const rig = createRig();
  add(rig, 'web');
  rig.hung.add('web');
  rig.start();
  set(rig, 'pause');
  await rig.env.advance(1_100);
  rig.guests.get('web')!.state = 'paused';
  rig.hung.delete('web');
  set(rig, 'ok');
  await rig.env.advance(1_000);
  assert.equal(rig.guests.get('web')!.state, 'running');
});

test('a guest that was taken over meanwhile is ended, never resumed', async () => {
  const rig = createRig();
  add(rig, 'web');
  rig.start();
  set(rig, 'pause');
  await rig.env.advance(500);
  rig.owners.set('u-web', { node: 'n2', boot: 4, epoch: 2 });
  set(rig, 'ok');
  await rig.env.advance(1_000);
  assert.deepEqual([...rig.guests.keys()], []);
  assert.ok(!rig.acts.includes('resume web'));
});

test('superseded, or the lease gone, while the keeper is told: not resumed', async () => {
  for (const spoil of [
    (rig: Rig) => rig.owners.set('u-web', { node: 'n2', boot: 4, epoch: 2 }),
    (rig: Rig) => {
      rig.refusal = 'gone';
    },
  ]) {
    const rig = createRig();
    add(rig, 'web');
    rig.start();
    set(rig, 'pause');
    await rig.env.advance(500);
    rig.told = (_name, proven) => {
      if (!proven) spoil(rig);
    };
    set(rig, 'ok');
    await rig.env.advance(60);
    assert.ok(!rig.acts.includes('resume web'));
    const told = rig.acts.filter((act) => act.startsWith('keeper'));
    assert.deepEqual(told.slice(0, 3), ['keeper web true', 'keeper web false', 'keeper web true']);
  }
});

test('ends what another node, boot or epoch owns, and what nobody knows, but only under a current state', async () => {
  const rig = createRig();
  add(rig, 'ours', 3);
  add(rig, 'old', 2, 3);
  add(rig, 'unknown');
  rig.owners.delete('u-unknown');
  add(rig, 'boot');
  rig.owners.set('u-boot', { node: 'n1', boot: 2, epoch: 1 });
  rig.refusal = 'no lease yet';
  rig.stage = 'suspect';
  rig.start();
  await rig.env.advance(3_000);
  assert.deepEqual(rig.acts, [], 'before the first grant it does nothing');
  set(rig, 'ok');
  await rig.env.advance(2_000);
  assert.deepEqual([...rig.guests.keys()], ['ours']);
});

test('a guest of the same name that began meanwhile is not the one to end', async () => {
  const rig = createRig();
  add(rig, 'web', 1, 2);
  let lists = 0;
  const get = rig.guests.entries.bind(rig.guests);
  rig.guests[Symbol.iterator] = () => {
    lists += 1;
    if (lists === 2) rig.guests.set('web', { uuid: 'u-web', epoch: 2, state: 'running' });
    return get();
  };
  rig.start();
  await rig.env.advance(10);
  assert.deepEqual(rig.acts, []);
});

test('pauses that an earlier agent left are resumed', async () => {
  const rig = createRig();
  add(rig, 'web');
  rig.guests.get('web')!.state = 'paused';
  rig.start();
  await rig.env.advance(100);
  assert.equal(rig.guests.get('web')!.state, 'running');
});

test('a listing that hangs is given up, and looked at again', async () => {
  const rig = createRig();
  add(rig, 'web');
  rig.hung.add('list');
  rig.start();
  set(rig, 'pause');
  await rig.env.advance(2_000);
  rig.hung.delete('list');
  await rig.env.advance(4_000);
  assert.deepEqual(rig.acts, ['pause web', 'keeper web true']);
});

test('a wake that brings nothing new waits for the next look; one that does is answered at once', async () => {
  const rig = createRig();
  add(rig, 'web');
  const guard = rig.start();
  await rig.env.advance(0);
  const first = rig.looks;
  for (let wakes = 0; wakes < 20; wakes += 1) {
    guard.wake();
    await rig.env.advance(10);
  }
  assert.equal(rig.looks, first);
  await rig.env.advance(1_000);
  assert.equal(rig.looks, first + 1, 'the look of every second is put off by no wake');

  rig.refusal = 'the index of the lease is not applied yet';
  guard.wake();
  await rig.env.advance(0);
  assert.equal(rig.looks, first + 2);
  rig.refusal = null;
  guard.wake();
  await rig.env.advance(0);
  assert.equal(rig.looks, first + 3);
  rig.owners.set('u-web', { node: 'n2', boot: 1, epoch: 4 });
  guard.wake();
  await rig.env.advance(0);
  assert.deepEqual(rig.acts, ['stop web', 'cleanup web'], 'taken over');
});

test('looks seldom while nothing is here and nothing may start, and as often as ever once something is', async () => {
  const rig = createRig();
  set(rig, 'kill');
  const guard = rig.start();
  await rig.env.advance(10_000);
  assert.ok(rig.looks <= 12, `${rig.looks} looks in 10 s`);
  // The lease comes back, something is started, the lease goes: each wakes.
  set(rig, 'ok');
  guard.wake();
  add(rig, 'web');
  await rig.env.advance(1_000);
  set(rig, 'pause');
  guard.wake();
  await rig.env.advance(50);
  assert.deepEqual(rig.acts, ['pause web', 'keeper web true']);
  const before = rig.looks;
  await rig.env.advance(1_000);
  assert.ok(rig.looks >= before + 15, `${rig.looks - before} looks in 1 s`);
});
