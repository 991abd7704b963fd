/**
 * keepalived beside Skein: three VRRP routers with its default settings (an advertisement a second), and a responder
 * behind the address that says on which node it runs.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { type Child, scriptArgv, startChild } from './child.ts';
import { nowMs, sleep, until } from './clock.ts';
import type { BenchContext } from './figure.ts';
import { measureSeries } from './measure.ts';
import {
  holdsAddress,
  openPeerNetwork,
  type PeerNetwork,
  type PeerNode,
  virtual_ip,
} from './peer-network.ts';
import { startProber } from './prober.ts';

const port = 7000;
const limit_ms = 30_000;
/** Longer than VRRP needs to agree: three advertisements and the skew. */
const stable_ms = 4_500;

/** Nothing but what it cannot do without; no preemption, since a moved address would otherwise move twice. */
function configuration(name: string, index: number): string {
  return [
    `global_defs {\n  router_id ${name}\n}`,
    'vrrp_instance bench {',
    '  state BACKUP',
    '  interface br0',
    '  virtual_router_id 77',
    `  priority ${100 + 10 * (3 - index)}`,
    '  nopreempt',
    `  virtual_ipaddress {\n    ${virtual_ip}/24 dev br0\n  }`,
    '}\n',
  ].join('\n');
}

class Routers {
  readonly network: PeerNetwork;
  readonly running = new Map<string, Child>();

  constructor(network: PeerNetwork) {
    this.network = network;
  }

  async start(node: PeerNode): Promise<void> {
    const at = (suffix: string): string => join(this.network.dir, `${node.name}.${suffix}`);
    writeFileSync(at('conf'), configuration(node.name, this.network.nodes.indexOf(node)));
    const argv = ['keepalived', '--dont-fork', '--log-console', '--vrrp', '--use-file', at('conf')];
    const child = await startChild([...argv, '--pid', at('pid'), '--vrrp_pid', at('vrrp.pid')], {
      namespace: node.namespace,
      log: at('log'),
    });
    this.running.set(node.name, child);
  }

  /** Parent and VRRP child, as if the daemon had crashed: stopped first, so that neither sees the other die. */
  async crash(name: string): Promise<void> {
    const parent = this.running.get(name);
    if (!parent) throw new Error(`keepalived does not run on ${name}`);
    const children = readFileSync(`/proc/${parent.pid}/task/${parent.pid}/children`, 'latin1');
    const pids = [parent.pid, ...children.trim().split(' ').filter(Boolean).map(Number)];
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    await parent.exited;
  }

  /** The one node that has had the address for long enough. */
  async stable(): Promise<string> {
    let since_ms = nowMs();
    let last = '';
    return until('one keepalived to hold the address', 90_000, 100, () => {
      const holders = this.network.nodes.filter((node) => holdsAddress(node.namespace, virtual_ip));
      const [only] = holders;
      const name = holders.length === 1 ? (only?.name ?? '') : '';
      if (name === '' || name !== last) since_ms = nowMs();
      last = name;
      return name !== '' && nowMs() - since_ms > stable_ms ? name : null;
    });
  }

  async heal(fault: 'kill' | 'cut', name: string): Promise<void> {
    if (fault === 'cut') return this.network.setLink(name, true);
    const node = this.network.node(name);
    // What an administrator's service manager would find left over.
    if (holdsAddress(node.namespace, virtual_ip)) {
      const argv = ['-n', node.namespace, 'addr', 'del', `${virtual_ip}/24`, 'dev', 'br0'];
      execFileSync('ip', argv, { timeout: 5_000 });
    }
    await this.start(node);
  }
}

async function trial(routers: Routers, fault: 'kill' | 'cut'): Promise<number> {
  const { network } = routers;
  const owner = await routers.stable();
  const prober = await startProber(
    network.client_namespace,
    virtual_ip,
    port,
    join(network.dir, 'probe.log'),
  );
  try {
    const answering = await prober.owner();
    if (answering !== owner) throw new Error(`${answering} answers, but ${owner} holds the address`);
    // Anywhere between two advertisements.
    await sleep(200 + Math.random() * 1_000);
    const fault_ms = nowMs();
    await (fault === 'kill' ? routers.crash(owner) : network.setLink(owner, false));
    const answer = await prober.firstOther(owner, fault_ms, limit_ms);
    return answer.at_ms - fault_ms;
  } finally {
    await prober.end();
    await routers.heal(fault, owner);
  }
}

/** Median time until another node answers, in milliseconds. */
export async function keepalivedFailover(
  context: BenchContext,
  figure: string,
  fault: 'kill' | 'cut',
): Promise<number> {
  const times = measureSeries(context, `${figure}/keepalived`, 'ms');
  const network = await openPeerNetwork(3);
  const routers = new Routers(network);
  const responders: Child[] = [];
  try {
    for (const { name, namespace } of network.nodes) {
      const log = join(network.dir, 'responder.log');
      responders.push(
        await startChild(scriptArgv('who-responder.ts', String(port), name), { namespace, log }),
      );
    }
    for (const node of network.nodes) await routers.start(node);
    for (let round = 1; round <= context.trials; round++) {
      context.signal.throwIfAborted();
      const time_ms = await trial(routers, fault);
      times.add(time_ms);
      context.say(`${figure} ${round}: keepalived ${time_ms.toFixed(0)} ms`);
    }
  } finally {
    await Promise.all([...routers.running.values()].map((child) => child.end()));
    await Promise.all(responders.map((child) => child.end()));
    await network.close();
  }
  return times.emit('default settings, 3 nodes; who answers, as above');
}
