import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createOps, parseShape } from '../sim/swarm/shape.ts';
import { type FakeAgent, startFakeAgent } from './fake-agent.ts';
import { Session } from './session.ts';
import { simProgram } from './sim.ts';
import { readShape } from './sim-shape.ts';
import { processTerminal } from './terminal.ts';

let dir: string;
let agent: FakeAgent;
before(async () => {
  dir = mkdtempSync(join(tmpdir(), 'skein-sim-'));
  agent = await startFakeAgent();
});
after(async () => {
  rmSync(dir, { recursive: true, force: true });
  await agent.close();
});

test('the program is found in a checkout; elsewhere it says what is missing', () => {
  assert.ok(existsSync(simProgram()));
  assert.throws(() => simProgram(dir), /the simulator is not installed here/);
  const inside = join(dir, 'node_modules', 'skein');
  mkdirSync(join(inside, 'sim'), { recursive: true });
  writeFileSync(join(inside, 'sim', 'run-swarm.ts'), '');
  assert.throws(() => simProgram(inside), /inside of node_modules/);
});

const secret = 'topsecret';
const instance = (more: Record<string, unknown>) => ({
  name: `${secret}-web`,
  pnode: `${secret}-b`,
  disk_template: 'sharedfile',
  'disk.sizes': [1024, 10],
  beparams: { maxmem: 512, minmem: 256, vcpus: 2 },
  admin_state: 'up',
  tags: [secret, 'skein:priority:7', 'ganeti:watcher:autorepair:suspend', `skein:priority:${secret}`],
  os: secret,
  osparams: { password: secret },
  ...more,
});

function clusterOf(instances: readonly object[], lease_ms: number): void {
  const rows: Record<string, readonly object[]> = {
    cluster: [{ name: secret, ha: { lease_ms }, candidate_pool_size: 5, master_ip: secret, tags: [secret] }],
    node: [{ name: `${secret}-a` }, { name: `${secret}-b` }, { name: `${secret}-c` }],
    instance: instances,
  };
  agent.handle('query', ({ params }) => {
    // Names would select by name, of which the simulation is to know none.
    assert.deepEqual(params['names'], []);
    return { rows: rows[String(params['resource'])], stale_ms: null, index: 1 };
  });
}

async function shapeNow() {
  const session = new Session(processTerminal(), { socket: agent.socket });
  try {
    return await readShape(session);
  } finally {
    await session.disconnect();
  }
}

test('the shape of a cluster has its sizes, and none of its names', async () => {
  clusterOf(
    [
      instance({}),
      instance({ pnode: `${secret}-c`, admin_state: 'down', disk_template: 'diskless', 'disk.sizes': [] }),
    ],
    10_000,
  );
  const text = JSON.stringify(await shapeNow());
  assert.ok(!text.includes(secret), text);
  const shape = parseShape(text);
  assert.deepEqual([shape.nodes, shape.lease, shape.candidate_pool_size], [3, 'default', 5]);
  const [first, second] = createOps(shape);
  assert.equal(first?.['pnode'], 'n2');
  assert.deepEqual(first?.['disks'], [{ size: 1024 }, { size: 10 }]);
  assert.deepEqual(first?.['beparams'], { maxmem: 512, minmem: 512, vcpus: 2 });
  assert.deepEqual(first?.['tags'], ['skein:priority:7', 'ganeti:watcher:autorepair:suspend']);
  assert.deepEqual([second?.['pnode'], second?.['start'], second?.['instance_name']], ['n3', false, 'i2']);
});

test('short leases are simulated as the scaled ones; a template that is not simulated is an error', async () => {
  clusterOf([], 2_000);
  assert.equal((await shapeNow()).lease, 'scaled');
  clusterOf([instance({ disk_template: 'drbd' })], 2_000);
  await assert.rejects(shapeNow(), /template drbd, which is not simulated/);
});

test('a shape that is none is refused with what is wrong', () => {
  assert.throws(() => parseShape('{'), RangeError);
  assert.throws(() => parseShape('{"version":2}'), /version/);
});
