import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import type { StateView } from '../config/api.ts';
import type { Instance } from '../config/model.ts';
import { cluster, group, node } from '../config/test-fixtures.ts';
import type { GuestInfo, HypervisorDriver } from '../drivers/types.ts';
import { createGuard, type Guard } from './guard.ts';
import type { LeaseStage } from './ha-types.ts';
import { createNodeLease, nextHarmAtMs } from './lease/node-lease.ts';
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
  /** When each act was done first. */
  readonly at: Map<string, number>;
  /** How often the guests were listed. */
  looks: number;
  /** Guests whose pause (or stop, or the listing of all: `list`) never answers. */
  readonly hung: Set<string>;
  readonly unprotected: Set<string>;
  stage: LeaseStage;
  left_ms: number;
  /** When the stage for a pause or a kill begins; null: none is ahead. */
  next_at_ms: number | null;
  refusal: string | null;
  /** For how long the host was suspended: its timers know nothing of it. */
  suspended_ms: number;
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
  const at = new Map<string, number>();
  const note = (act: string) => {
    acts.push(act);
    if (!at.has(act)) at.set(act, rig.env.now_ms());
  };
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
      note(`stop ${name}`);
      if (rig.hung.has(`stop ${name}`)) return never;
      guests.delete(name);
    },
    async cleanup(name) {
      note(`cleanup ${name}`);
    },
    async pause(name) {
      note(`pause ${name}`);
      if (rig.hung.has(name)) return never;
      guests.get(name)!.state = 'paused';
    },
    async resume(name) {
      note(`resume ${name}`);
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
    env: { ...env, now_ms: () => env.now_ms() + rig.suspended_ms },
    guests,
    owners: new Map(),
    acts,
    at,
    looks: 0,
    hung: new Set(),
    unprotected: new Set(),
    stage: 'ok',
    left_ms: 3_500,
    next_at_ms: null,
    refusal: null,
    suspended_ms: 0,
    told: () => undefined,
    start() {
      const guard = createGuard({
        env: rig.env,
        state,
        drivers: { hypervisors: new Map([['fake', driver as HypervisorDriver]]) },
        node_uuid: 'n1',
        boot: 1,
        stage: () => rig.stage,
        left_ms: () => rig.left_ms,
        nextHarm_ms: () => (rig.next_at_ms === null ? null : rig.next_at_ms - rig.env.now_ms()),
        mayStart: () => rig.refusal,
        isProtected: (instance) => !rig.unprotected.has(instance.uuid),
        async setPaused(name, proven) {
          note(`keeper ${name} ${proven}`);
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
  await rig.env.advance(1_000);
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
    const guard = rig.start();
    set(rig, 'pause');
    await rig.env.advance(500);
    rig.told = (_name, proven) => {
      if (!proven) spoil(rig);
    };
    set(rig, 'ok');
    guard.wake();
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

/** A lease of 10 s as the agent holds it, granted for a renewal that is sent now. */
function lease(rig: Rig) {
  const held = createNodeLease();
  const { env } = rig;
  let sequence = 0;
  const grant = (lease_ms: number) => {
    sequence += 1;
    const sent_at_ms = env.now_ms();
    held.take({ sequence, sent_at_ms, term: 1, index: 0, lease_ms, guard_slack_ms: 2_000 });
  };
  grant(10_000);
  const begin_ms = env.now_ms();
  const lead = (name: keyof Rig, get: () => unknown) => Object.defineProperty(rig, name, { get });
  lead('stage', () => held.stage(env.now_ms()));
  lead('left_ms', () => Math.max(0, held.state().deadline_ms - env.now_ms()));
  lead('next_at_ms', () => nextHarmAtMs(env.now_ms(), held.state()));
  lead('refusal', () => held.mayStart(env.now_ms(), 0));
  return {
    grant,
    /** How long after the first grant each act was, in whole milliseconds. */
    at: (act: string) => {
      const at_ms = rig.at.get(act);
      return at_ms === undefined ? null : Math.floor(at_ms - begin_ms);
    },
  };
}

/** After the first grant: what comes when, and when `web` is to be paused and `deaf`, whose pause hangs, to be killed. */
for (const { what, before, paused_ms, killed_ms, late_ms = 2 } of [
  { what: 'no renewal is granted any more', before: [], paused_ms: 6_500, killed_ms: 10_000 },
  {
    what: 'one more came while it was suspect',
    before: [[5_000, 'grant']],
    paused_ms: 11_500,
    killed_ms: 15_000,
  },
  {
    what: 'the next lease is a shorter one',
    before: [[100, 'grant for 1 s']],
    paused_ms: 750,
    killed_ms: 1_100,
  },
  {
    what: 'renewals come and are taken in',
    before: [1, 2, 3, 4].map((s) => [s * 1_000, 'grant']),
    paused_ms: 10_500,
    killed_ms: 14_000,
  },
  {
    what: 'the host was suspended while it was suspect, for longer than up to the pause',
    before: [[4_020, 'suspend']],
    paused_ms: 8_020,
    late_ms: 50,
    killed_ms: 10_000,
  },
  {
    what: 'the guests cannot be listed when the pause is due',
    before: [
      [6_400, 'hang list'],
      [6_900, 'list'],
    ],
    // The look that hangs is given up after five seconds.
    paused_ms: null,
    killed_ms: 11_500,
  },
] as readonly {
  what: string;
  before: readonly (readonly [number, string])[];
  paused_ms: number | null;
  killed_ms: number;
  late_ms?: number;
}[]) {
  test(`on time: ${what}`, async () => {
    const rig = createRig();
    add(rig, 'web');
    add(rig, 'deaf');
    rig.hung.add('deaf');
    const { grant, at } = lease(rig);
    // So that no look falls on a stage's beginning by chance.
    let now_ms = 17;
    await rig.env.advance(now_ms);
    const guard = rig.start();
    for (const [at_ms, event] of before) {
      await rig.env.advance(at_ms - now_ms);
      now_ms = at_ms;
      if (event === 'suspend') {
        rig.suspended_ms += 4_000;
        now_ms += 4_000;
      } else if (event.startsWith('grant')) {
        grant(event === 'grant' ? 10_000 : 1_000);
        guard.wake();
      } else if (event === 'list') rig.hung.delete('list');
      else rig.hung.add('list');
    }
    await rig.env.advance(20_000 - now_ms);
    const late = (act: string, due_ms: number | null) => {
      const at_ms = at(act);
      if (due_ms === null) assert.equal(at_ms, null, act);
      else assert.ok(at_ms !== null && at_ms >= due_ms && at_ms <= due_ms + late_ms, `${act} at ${at_ms} ms`);
    };
    late('pause web', paused_ms);
    late('stop deaf', killed_ms);
    if (paused_ms !== null) assert.deepEqual([...rig.guests.keys()], ['web']);
  });
}

test('looks seldom whatever the stage, once all is proven', async () => {
  const rig = createRig();
  add(rig, 'web');
  const { at } = lease(rig);
  rig.start();
  let before = 0;
  for (const [stage, ms, most] of [
    ['ok', 2_999, 4],
    ['suspect', 3_500, 6],
    // One that pauses and one that proves it.
    ['pause', 3_500, 6],
    ['kill', 10_000, 12],
  ] as const) {
    await rig.env.advance(ms);
    assert.equal(rig.stage, stage);
    assert.ok(rig.looks - before <= most, `${rig.looks - before} looks in stage ${stage}`);
    before = rig.looks;
  }
  assert.equal(at('pause web'), 6_500);
});

test('what is not proven paused yet is looked at all the time, and what hangs every quarter of a second', async () => {
  const rig = createRig();
  add(rig, 'begins');
  // Its CPUs do not run yet: a pause proves nothing.
  rig.guests.get('begins')!.state = 'starting';
  Object.defineProperty(rig.guests.get('begins')!, 'state', { get: () => 'starting', set: () => undefined });
  set(rig, 'pause');
  rig.start();
  await rig.env.advance(1_000);
  assert.ok(rig.looks >= 15, `${rig.looks} looks`);
  const slow = createRig();
  add(slow, 'web');
  slow.hung.add('web');
  set(slow, 'pause');
  slow.left_ms = 50;
  slow.start();
  await slow.env.advance(3_000);
  assert.ok(slow.looks >= 8 && slow.looks <= 12, `${slow.looks} looks`);
});

test('a start that takes effect after the stage began is found when its step ends, or with the next look', async () => {
  for (const [tells, most_ms] of [
    [true, 5],
    [false, 1_000],
  ] as const) {
    const rig = createRig();
    const { at } = lease(rig);
    const guard = rig.start();
    await rig.env.advance(7_300);
    add(rig, 'web');
    if (tells) guard.acted();
    await rig.env.advance(2_000);
    const at_ms = at('pause web') ?? Number.POSITIVE_INFINITY;
    assert.ok(at_ms <= 7_300 + most_ms, `paused at ${at_ms} ms`);
  }
});

test('a step that ends while a look is under way is followed by another look', async () => {
  const rig = createRig();
  set(rig, 'pause');
  rig.owners.set('u-web', { node: 'n1', boot: 1, epoch: 1 });
  const guard = rig.start();
  await rig.env.advance(100);
  const all = rig.guests.entries.bind(rig.guests);
  rig.guests[Symbol.iterator] = () => {
    const listed = [...all()];
    if (!rig.guests.has('web')) {
      rig.guests.set('web', { uuid: 'u-web', epoch: 1, state: 'running' });
      guard.acted();
    }
    return listed[Symbol.iterator]();
  };
  await rig.env.advance(930);
  assert.deepEqual(rig.acts, ['pause web', 'keeper web true']);
});

test('a lease that was away for a moment only while a guest was to be resumed: resumed all the same', async () => {
  const rig = createRig();
  add(rig, 'web');
  set(rig, 'pause');
  const guard = rig.start();
  await rig.env.advance(100);
  rig.told = (_name, proven) => {
    rig.refusal = proven ? null : 'gone';
    if (proven) rig.told = () => undefined;
  };
  set(rig, 'ok');
  guard.wake();
  await rig.env.advance(10);
  assert.deepEqual(rig.acts.slice(2), [
    ...['keeper web false', 'keeper web true', 'keeper web false', 'resume web'],
  ]);
});

test('a lease that counts once an entry is applied: resumed then, although nothing wakes', async () => {
  const rig = createRig();
  add(rig, 'web');
  set(rig, 'pause');
  rig.next_at_ms = rig.env.now_ms() + 60_000;
  const guard = rig.start();
  await rig.env.advance(500);
  assert.deepEqual(rig.acts, ['pause web', 'keeper web true']);
  rig.stage = 'ok';
  guard.wake();
  await rig.env.advance(500);
  const before = rig.looks;
  rig.refusal = null;
  await rig.env.advance(55);
  assert.deepEqual(rig.acts.slice(2), ['keeper web false', 'resume web']);
  assert.ok(before <= 5, `${before} looks until then`);
});
