/**
 * The main job: a lab of three nodes, a guest made from a node that does not lead, the leader's agent killed, the
 * guest's host cut off; and a timeline of it all with the measured times. Leaves the lab up. `--down` removes it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { labDown } from '../cli/lab/down.ts';
import { labCut, labPowerOff } from '../cli/lab/faults.ts';
import { hostArgv } from '../cli/lab/host.ts';
import { type Lab, type LabNode, labUp } from '../cli/lab/lab.ts';
import { connectApi } from '../src/node/api-client.ts';
import type { AgentStatus } from '../src/node/api-types.ts';
import { installPackages, missingPackages } from './packages.ts';

const { values } = parseArgs({
  options: {
    down: { type: 'boolean' },
    dir: { type: 'string', default: '.lab' },
    lease: { type: 'string', default: 'default' },
  },
});
const dir = values.dir;
const root = process.getuid?.() === 0;
const began = Date.now();
const timeline: { at_ms: number; text: string }[] = [];
const guest = 'web1';
const who_port = '1821';

const seconds = (ms: number) => `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;

function say(text: string): void {
  timeline.push({ at_ms: Date.now() - began, text });
  process.stdout.write(`${seconds(Date.now() - began).padStart(8)}  ${text}\n`);
}
const aside = (text: string) => process.stdout.write(`          ${text}\n`);

async function until<T>(
  what: string,
  timeout_ms: number,
  look: () => T | null | undefined | Promise<T | null | undefined>,
): Promise<T> {
  const deadline = Date.now() + timeout_ms;
  for (;;) {
    const found = await look();
    if (found !== null && found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`waited ${timeout_ms / 1000} s for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function statusOf(node: LabNode): Promise<AgentStatus | null> {
  try {
    return await node.call('status', {}, { timeout_ms: 2_000 });
  } catch {
    // A host that is down has no status: that is what is asked here.
    return null;
  }
}

async function leaderOf(lab: Lab, not = ''): Promise<LabNode> {
  return until('a leader', 60_000, async () => {
    for (const node of lab.nodes) {
      const status = await statusOf(node);
      if (status?.role === 'leader' && status.established && node.name !== not) return node;
    }
    return null;
  });
}

/** Submits one opcode and waits for its job; throws with the job's own words. */
async function run(node: LabNode, op: Record<string, unknown> & { OP_ID: string }): Promise<number> {
  const client = await connectApi(node.socket);
  try {
    const { jobs } = await client.call('submit', { request_id: crypto.randomUUID(), jobs: [{ ops: [op] }] });
    const job = await client.call('job.watch', { job: jobs[0]! }, { timeout_ms: 300_000 });
    if (job.status !== 'success') throw new Error(`${op.OP_ID}: ${JSON.stringify(job.ops[0]?.result)}`);
    return job.id;
  } finally {
    client.close();
  }
}

interface Answer {
  readonly at: number;
  readonly answered: number;
  readonly name: string;
}

/** Follows who answers at the master IP, from a fourth host. */
function followMaster(lab: Lab): { answers: Answer[]; child: ChildProcess } | null {
  if (!lab.client) return null;
  const script = new URL('./probe-who.ts', import.meta.url).pathname;
  const [program = '', ...args] = hostArgv({ namespace: lab.client.namespace }, [
    process.execPath,
    script,
    lab.master_ip,
    who_port,
    '10',
  ]);
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const answers: Answer[] = [];
  createInterface({ input: child.stdout! }).on('line', (line) => answers.push(JSON.parse(line) as Answer));
  return { answers, child };
}

interface Console {
  readonly counts: { at: number; count: number }[];
  close(): void;
}

/**
 * An agent that has just started may not be connected to the guest's host yet, and a guest that has just begun may not have
 * its console yet: tried again for a while.
 */
async function followConsole(node: LabNode, instance: string): Promise<Console> {
  let last = '';
  try {
    return await until('the console', 15_000, () =>
      openConsole(node, instance).catch((error: Error) => {
        last = error.message;
        if (!/not connected|does not run on this host/.test(last)) throw error;
        return null;
      }),
    );
  } catch (error) {
    throw last === '' ? error : new Error(last);
  }
}

async function openConsole(node: LabNode, instance: string): Promise<Console> {
  const client = await connectApi(node.socket);
  const { stream } = await client.attachConsole(instance, 10_000);
  const counts: { at: number; count: number }[] = [];
  let text = '';
  stream.onData((bytes) => {
    text = (text + Buffer.from(bytes).toString('latin1')).slice(-4096);
    for (const match of text.matchAll(/COUNT (\d+)\r?\n/g)) {
      const count = Number(match[1]);
      if (count > (counts.at(-1)?.count ?? 0)) counts.push({ at: Date.now(), count });
    }
  });
  return { counts, close: () => client.close() };
}

async function instanceRow(node: LabNode): Promise<Record<string, unknown>> {
  const { rows } = await node.call('query', { resource: 'instance', names: [guest] }, { timeout_ms: 15_000 });
  return rows[0]!;
}

function preparePackages(): readonly string[] {
  const missing = missingPackages();
  if (missing.length === 0) return [];
  process.stdout.write('Debian packages that are missing, and what each is for:\n');
  for (const { name, why } of missing) process.stdout.write(`  ${name.padEnd(30)} ${why}\n`);
  if (!root) return missing.map(({ name }) => name);
  process.stdout.write('Installing them …\n');
  installPackages(missing);
  return [];
}

async function killLeader(lab: Lab, leader: LabNode): Promise<LabNode> {
  const watch = followMaster(lab);
  try {
    if (watch)
      await until(`${leader.name} to answer on the master IP`, 30_000, () =>
        watch.answers.find((answer) => answer.name === leader.name),
      );
    const { pid } = await leader.call('status', {});
    const survivor = lab.nodes.find((node) => node.name !== leader.name)!;
    const killed = Date.now();
    process.kill(pid, 'SIGKILL');
    say(`kill -9 of ${leader.name}'s agent (it leads)`);
    await run(survivor, { OP_ID: 'OP_TEST_DELAY', duration: 0 });
    say(`a job committed through ${survivor.name}, ${Date.now() - killed} ms after the kill`);
    if (watch) {
      const first = await until('a new leader on the master IP', 60_000, () =>
        watch.answers.find((answer) => answer.at >= killed && answer.name !== leader.name),
      );
      say(
        `${first.name} answers on the master IP ${lab.master_ip}, ${first.answered - killed} ms after the kill`,
      );
    }
    const next = await leaderOf(lab, '');
    say(`${next.name} leads in term ${(await statusOf(next))?.term}`);
    return next;
  } finally {
    watch?.child.kill();
  }
}

async function loseHost(lab: Lab, host: LabNode): Promise<void> {
  const watcher = lab.nodes.find((node) => node.name !== host.name)!;
  const before = await followConsole(watcher, guest);
  await until('the guest to count', 60_000, () => before.counts.at(-1));
  const last = before.counts.at(-1)!.count;
  before.close();
  const lost = Date.now();
  if (root) await labCut(lab, host.name);
  else await labPowerOff(lab, host.name);
  say(
    root
      ? `cut off ${host.name}, which runs ${guest} (count ${last})`
      : `switched off ${host.name}, which runs ${guest} (count ${last})`,
  );
  aside('the cluster waits until no copy can run there any more (docs/ha.md: T = 25.4 s by default) …');
  const row = await until(`${guest} to run elsewhere`, 180_000, async () => {
    try {
      const found = await instanceRow(watcher);
      return found['pnode'] !== host.name && found['status'] === 'running' ? found : null;
    } catch {
      // No quorum for a moment if the lost host led.
      return null;
    }
  });
  say(`${guest} runs on ${row['pnode']}, ${seconds(Date.now() - lost)} after the cut`);
  const after = await followConsole(watcher, guest);
  const next = await until('the guest to count again', 120_000, () => after.counts.at(-1));
  after.close();
  say(`it counts on from its disk: ${next.count} (was ${last}), ${seconds(Date.now() - lost)} after the cut`);
  const why = await watcher.call('instance.why', { instance: guest });
  const change = why.log.at(-1);
  if (change) aside(`why: ${change.evidence.kind}: ${change.evidence.text}`);
}

async function main(): Promise<void> {
  if (values.down) {
    await labDown({ dir, log: (line) => process.stdout.write(`${line}\n`) });
    process.stdout.write('The lab is gone.\n');
    return;
  }
  const left_out: string[] = [];
  const not_installed = preparePackages();
  if (not_installed.length > 0) left_out.push(`packages not installed (no root): ${not_installed.join(' ')}`);
  if (!root)
    left_out.push(
      'no root: no network namespaces, hence no master IP and no cable to cut; the host is switched off instead',
    );
  if (existsSync(dir)) await labDown({ dir, log: aside });
  process.stdout.write('\n');
  say('starting three nodes');
  const lab = (
    await labUp({ dir, nodes: 3, lease: values.lease === 'scaled' ? 'scaled' : 'default', log: aside })
  ).lab;
  const leader = await leaderOf(lab);
  say(
    `a cluster of ${lab.nodes.map((node) => node.name).join(', ')}; ${leader.name} leads${lab.client ? ` and holds the master IP ${lab.master_ip}` : ''}`,
  );
  const [from, host] = lab.nodes.filter((node) => node.name !== leader.name) as [LabNode, LabNode];
  await until('three voters', 60_000, async () => {
    const { rows } = await from.call('query', { resource: 'node' });
    return rows.length === 3 && rows.every((row) => row['voter'] === true) ? true : null;
  });
  say(`creating ${guest} on ${host.name}, asked of ${from.name}, which does not lead`);
  const created = Date.now();
  await run(from, {
    OP_ID: 'OP_INSTANCE_CREATE',
    mode: 'create',
    instance_name: guest,
    disk_template: 'sharedfile',
    disks: [{ size: 64 }],
    nics: root ? [{}] : [],
    os_type: 'skein-busybox+default',
    hypervisor: 'kvm',
    beparams: { memory: 128 },
    pnode: host.name,
    start: true,
  });
  say(`${guest} was created, installed and started in ${seconds(Date.now() - created)}`);
  const console_ = await followConsole(from, guest);
  await until('the guest to count', 120_000, () => console_.counts[2]);
  say(
    `its serial console, read through ${from.name}: COUNT ${console_.counts.map(({ count }) => count).join(', COUNT ')}`,
  );
  console_.close();
  await killLeader(lab, leader);
  await until('the killed agent to be back', 60_000, async () => {
    const status = await statusOf(leader);
    return status?.lease_valid ? true : null;
  });
  say(`${leader.name}'s agent is back, started by its keeper`);
  await loseHost(lab, host);

  process.stdout.write('\nTimeline\n');
  for (const { at_ms, text } of timeline) process.stdout.write(`${seconds(at_ms).padStart(8)}  ${text}\n`);
  if (left_out.length > 0)
    process.stdout.write(`\nLeft out:\n${left_out.map((line) => `  ${line}\n`).join('')}`);
  const heal = root ? `npx skein lab heal ${host.name}` : `npx skein lab power ${host.name} on`;
  process.stdout.write(`
The lab is up. Try next:
  npx skein node list                     (the same on every node: npx skein -N n2 node list)
  npx skein instance console ${guest}         (leave with ^])
  npx skein instance why ${guest}             why it runs where it runs
  ${heal.padEnd(38)}  the lost host comes back and cleans up
  npx skein watch                         events as they happen
  npm start -- --down                     removes every trace
`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(
    `\nfailed: ${(error as Error).message}\nTry: npx skein lab status; logs: ${dir}/n*/log; npm start -- --down\n`,
  );
  process.exitCode = 1;
}
process.exit();
