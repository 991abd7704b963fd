import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { CliError } from '../exit-status.ts';
import { labDown } from './down.ts';
import { labCut, labFreeze, labHeal, labPowerOff, labPowerOn, labThaw } from './faults.ts';
import { hostProcesses, logFile } from './host.ts';
import { type Lab, labUp, openLab } from './lab.ts';
import { labHash, nodeLayout } from './layout.ts';
import { labNamespaces } from './network.ts';
import { isAlive, processesOf, statOf } from './proc.ts';
import { loadState } from './record.ts';
import { labStatus } from './status.ts';

const daemon = [process.execPath, fileURLToPath(new URL('./stand-in-daemon.ts', import.meta.url))];
const is_root = process.getuid?.() === 0;

interface StandInStatus {
  readonly pid: number;
  readonly guest: number;
  readonly boot_id: string;
}

function scratch(): { readonly dir: string; readonly lab_dir: string } {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'skein-lab-')));
  return { dir, lab_dir: join(dir, 'lab') };
}

async function standIn(lab: Lab, name: string): Promise<StandInStatus> {
  return (await lab.node(name).call('status', {}, { timeout_ms: 2_000 })) as unknown as StandInStatus;
}

/** Processes on this machine that name the lab's directory in their arguments. */
function processesNaming(dir: string): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map(Number)
    .filter((pid) => {
      const path = `/proc/${pid}/cmdline`;
      try {
        return readFileSync(path, 'utf8').includes(`${dir}/`);
      } catch {
        return false;
      }
    });
}

/** Runs a one-line TCP client in a namespace; the name that answers, or '' within the time limit. */
function ask(namespace: string, address: string, source = ''): string {
  const code = `const s=require('node:net').connect({port:1820,host:${JSON.stringify(address)}});
    setTimeout(()=>process.exit(1),700);s.on('error',()=>process.exit(1));s.on('data',d=>{process.stdout.write(d);process.exit(0)})`;
  const found = spawnSync(
    'nsenter',
    [`--net=/run/netns/${namespace}`, '--', process.execPath, '-e', code, source],
    { timeout: 10_000 },
  );
  return found.stdout.toString('utf8').trim();
}

function ping(from: string, address: string): boolean {
  return ask(from, address) !== '';
}

test('layout: names fit the kernel, addresses differ, a long directory gets a short run directory', () => {
  const node = nodeLayout('/srv/.lab', 2, true);
  assert.equal(node.namespace, `sk${labHash('/srv/.lab')}-n2`);
  assert.deepEqual([node.address, node.address6], ['10.77.0.2', 'fd77::2']);
  assert.equal(node.run_dir, '/srv/.lab/n2/run');
  const far = nodeLayout(`/srv/${'x'.repeat(80)}/.lab`, 2, true);
  assert.match(far.run_dir, /^\/tmp\/sk[0-9a-f]{4}-n2$/);
  assert.match(nodeLayout('/srv/.lab', 2, false).address, /^127\.77\.\d+\.2$/);
  assert.match(nodeLayout('/srv/.lab', 64, true).mac, /^02:73(:[0-9a-f]{2}){4}$/);
});

test('a process is known by its id and start time; members of a host never include this process', () => {
  const own = statOf(process.pid);
  assert.ok(own);
  assert.ok(isAlive(own));
  assert.ok(!isAlive({ ...own, start_ticks: own.start_ticks + 1 }));
  assert.equal(statOf(4_194_305), null);
  const variable = `PATH=${process.env.PATH}`;
  assert.ok(
    !processesOf({ namespace_file: null, environment: variable }).some(({ pid }) => pid === process.pid),
  );
});

test('refusals: a directory with other files in it, a wrong number of nodes, no lab', async () => {
  const { dir, lab_dir } = scratch();
  try {
    writeFileSync(join(dir, 'precious'), '');
    await assert.rejects(labUp({ dir, daemon }), /is no lab and not empty/);
    assert.ok(existsSync(join(dir, 'precious')));
    for (const nodes of [0, 65, 1.5])
      await assert.rejects(labUp({ dir: lab_dir, nodes, daemon }), /expected a number from 1 to 64/);
    assert.ok(!existsSync(lab_dir));
    assert.throws(() => openLab(lab_dir), CliError);
    assert.equal(await labDown({ dir: lab_dir }), false);
    assert.equal(await labDown({ dir }), false);
    assert.ok(existsSync(join(dir, 'precious')));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test('without namespaces: up, up again, freeze, thaw, power off and on with a new boot id, dead keeper, down', async () => {
  const { dir, lab_dir } = scratch();
  try {
    const options = {
      dir: lab_dir,
      nodes: 2,
      init: false,
      namespaces: false,
      hypervisor: 'fake',
      daemon,
    } as const;
    const { lab, already } = await labUp(options);
    assert.equal(already, false);
    assert.equal((await labUp(options)).already, true);
    await assert.rejects(labUp({ ...options, nodes: 3 }), /has 2 nodes, not 3/);
    const first = await standIn(lab, 'n1');
    assert.deepEqual(
      (await labStatus(lab)).map(({ name, power, frozen, processes }) => ({
        name,
        power,
        frozen,
        processes,
      })),
      [
        { name: 'n1', power: 'on', frozen: false, processes: 2 },
        { name: 'n2', power: 'on', frozen: false, processes: 2 },
      ],
    );

    assert.equal(labFreeze(lab, 'n1'), 2);
    // A process that runs on another processor stands still at its next interrupt, not at once.
    const states = () => [first.pid, first.guest].map((pid) => statOf(pid)?.state);
    const deadline = Date.now() + 10_000;
    while (states().some((state) => state !== 'T') && Date.now() < deadline) await sleep(10);
    assert.deepEqual(states(), ['T', 'T']);
    assert.equal((await labStatus(lab))[0]?.agent, null);
    assert.equal(labThaw(lab, 'n1'), 2);
    assert.equal((await standIn(lab, 'n1')).pid, first.pid);

    labFreeze(lab, 'n1');
    await labPowerOff(lab, 'n1');
    assert.deepEqual(
      [statOf(first.pid)?.state ?? 'gone', statOf(first.guest)?.state ?? 'gone'].filter(
        (state) => state !== 'gone' && state !== 'Z',
      ),
      [],
    );
    assert.equal(hostProcesses(lab.node('n1')).length, 0);
    assert.equal(hostProcesses(lab.node('n2')).length, 2);
    assert.equal((await labUp(options)).already, true, 'what was powered off stays off');
    await labPowerOn(lab, 'n1', daemon);
    const second = await standIn(lab, 'n1');
    assert.notEqual(second.boot_id, first.boot_id);

    // Only the keeper dies: a new one, the same boot.
    process.kill(second.pid, 'SIGKILL');
    const keeper = loadState(lab.node('n1')).keeper;
    assert.ok(keeper);
    while (isAlive(keeper)) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal((await labUp(options)).already, false);
    assert.equal((await standIn(lab, 'n1')).boot_id, second.boot_id);
    await assert.rejects(labCut(lab, 'n1'), /needs network namespaces/);
    assert.throws(() => lab.node('n9'), /no node "n9"/);

    assert.equal(await labDown({ dir: lab_dir }), true);
    assert.equal(await labDown({ dir: lab_dir }), false);
    assert.deepEqual(readdirSync(dir), []);
    assert.deepEqual(processesNaming(lab_dir), []);
  } finally {
    await labDown({ dir: lab_dir });
    rmSync(dir, { recursive: true, force: true });
  }
});

test('a daemon that dies at once: up says so with its last words, and down removes what there is', async () => {
  const { dir, lab_dir } = scratch();
  try {
    const dying = ['/bin/sh', '-c', 'echo "port is taken" >&2; exit 3', 'dying'];
    await assert.rejects(
      labUp({ dir: lab_dir, nodes: 1, init: false, namespaces: false, daemon: dying }),
      /port is taken/,
    );
    assert.match(readFileSync(logFile(openLab(lab_dir).node('n1')), 'utf8'), /port is taken/);
    assert.equal(await labDown({ dir: lab_dir }), true);
    assert.ok(!existsSync(lab_dir));
  } finally {
    await labDown({ dir: lab_dir });
    rmSync(dir, { recursive: true, force: true });
  }
});

test('down keeps a file that is not the lab’s', async () => {
  const { dir, lab_dir } = scratch();
  try {
    await labUp({ dir: lab_dir, nodes: 1, init: false, namespaces: false, daemon });
    writeFileSync(join(lab_dir, 'notes'), 'mine');
    assert.equal(await labDown({ dir: lab_dir }), true);
    assert.deepEqual(readdirSync(lab_dir), ['notes']);
  } finally {
    await labDown({ dir: lab_dir });
    rmSync(dir, { recursive: true, force: true });
  }
});

test('namespaces: hosts reach each other; cut, one-way cut, heal, power; nothing left', {
  skip: is_root ? false : 'needs root',
}, async () => {
  const { dir, lab_dir } = scratch();
  const hash = labHash(lab_dir);
  const before = spawnSync('ip', ['-j', 'link', 'show']).stdout.toString('utf8');
  try {
    const options = { dir: lab_dir, nodes: 2, init: false, hypervisor: 'fake', daemon } as const;
    const { lab } = await labUp(options);
    assert.deepEqual([...labNamespaces(hash)].sort(), [
      `sk${hash}-cl`,
      `sk${hash}-n1`,
      `sk${hash}-n2`,
      `sk${hash}-sw`,
    ]);
    assert.equal((await labUp(options)).already, true);
    const client = lab.client?.namespace ?? '';
    const [n1, n2] = [lab.node('n1'), lab.node('n2')];
    assert.equal(ask(client, n1.address), 'n1');
    assert.equal(ask(n1.namespace ?? '', n2.address), 'n2');
    const first = await standIn(lab, 'n1');

    await labCut(lab, 'n1');
    assert.ok(!ping(client, n1.address) && ping(client, n2.address));
    await labHeal(lab, 'n1');
    assert.ok(ping(client, n1.address));
    // One way only: no connection either way, though packets pass in the other direction.
    for (const way of ['in', 'out'] as const) {
      await labCut(lab, 'n1', way);
      assert.ok(!ping(client, n1.address), way);
      const rules = spawnSync('nsenter', [
        `--net=/run/netns/sk${hash}-sw`,
        '--',
        'nft',
        'list',
        'table',
        'bridge',
        'skein_lab',
      ]).stdout.toString('utf8');
      assert.match(rules, new RegExp(`set cut_${way} \\{\\s+type ifname\\s+elements = \\{ "p1" \\}`));
      assert.ok(
        !new RegExp(`set cut_${way === 'in' ? 'out' : 'in'} \\{\\s+type ifname\\s+elements`).test(rules),
      );
    }
    await labHeal(lab, 'n1');
    assert.ok(ping(client, n1.address));

    // A process that was started in the namespace by anyone, an address and an interface: all gone after a power cut.
    spawnSync('nsenter', [
      `--net=/run/netns/${n1.namespace}`,
      '--',
      'sh',
      '-c',
      'setsid sleep 999 </dev/null >/dev/null 2>&1 &',
    ]);
    spawnSync('ip', ['-n', n1.namespace ?? '', 'addr', 'add', '10.77.0.100/24', 'dev', 'br0']);
    spawnSync('ip', ['-n', n1.namespace ?? '', 'tuntap', 'add', 'tap9', 'mode', 'tap']);
    assert.equal(hostProcesses(n1).length, 3);
    await labPowerOff(lab, 'n1');
    assert.equal(hostProcesses(n1).length, 0);
    assert.ok(!ping(client, n1.address) && ping(client, n2.address));
    const state = spawnSync('ip', ['-n', n1.namespace ?? '', 'addr', 'show']).stdout.toString('utf8');
    assert.ok(
      !state.includes('10.77.0.100') &&
        !state.includes('tap9') &&
        state.includes('10.77.0.1/24') &&
        state.includes('fd77::1/64'),
      state,
    );

    // The cable stays cut over a power cycle.
    await labCut(lab, 'n1');
    await labPowerOn(lab, 'n1', daemon);
    assert.notEqual((await standIn(lab, 'n1')).boot_id, first.boot_id);
    assert.ok(!ping(client, n1.address));
    await labHeal(lab, 'n1');
    assert.ok(ping(client, n1.address));

    assert.equal(await labDown({ dir: lab_dir }), true);
    assert.deepEqual(labNamespaces(hash), []);
    assert.deepEqual(readdirSync(dir), []);
    assert.deepEqual(processesNaming(lab_dir), []);
    const names = (text: string): readonly string[] =>
      (JSON.parse(text) as { ifname: string }[]).map(({ ifname }) => ifname);
    assert.deepEqual(names(spawnSync('ip', ['-j', 'link', 'show']).stdout.toString('utf8')), names(before));
  } finally {
    await labDown({ dir: lab_dir });
    rmSync(dir, { recursive: true, force: true });
  }
});

test('down finds namespaces and processes when the directory is gone', {
  skip: is_root ? false : 'needs root',
}, async () => {
  const { dir, lab_dir } = scratch();
  try {
    const { lab } = await labUp({ dir: lab_dir, nodes: 1, init: false, hypervisor: 'fake', daemon });
    const { pid } = await standIn(lab, 'n1');
    rmSync(lab_dir, { recursive: true });
    await assert.rejects(labUp({ dir: lab_dir, nodes: 1, init: false, daemon }), /left of an earlier lab/);
    assert.equal(await labDown({ dir: lab_dir }), true);
    assert.deepEqual(labNamespaces(labHash(lab_dir)), []);
    assert.ok(['gone', 'Z'].includes(statOf(pid)?.state ?? 'gone'));
  } finally {
    await labDown({ dir: lab_dir });
    rmSync(dir, { recursive: true, force: true });
  }
});
