/** What a node costs that has nothing to do: memory of all its processes (PSS: shared pages split) and processor time. */
import { readFileSync } from 'node:fs';
import { hostProcesses } from '../cli/lab/host.ts';
import type { LabNode } from '../cli/lab/lab.ts';
import { nowMs, sleep } from './clock.ts';
import type { BenchContext, Figure } from './figure.ts';
import { measureSeries } from './measure.ts';
import { settled, withLab } from './skein-lab.ts';

/** USER_HZ of every Linux that Node runs on. */
const tick_ms = 10;
/** After start-up, garbage is collected and code compiled. */
const rest_s = 90;

/** Proportional set size, in MiB. */
function pssMib(pid: number): number {
  const match = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'));
  if (!match) throw new Error(`/proc/${pid}/smaps_rollup names no Pss`);
  return Number(match[1]) / 1024;
}

/** Time in user and system mode since the process began (proc(5), fields 14 and 15). */
function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * tick_ms;
}

/** Keeper and agent. */
function pidsOf(node: LabNode): readonly number[] {
  return hostProcesses(node).map(({ pid }) => pid);
}

async function measure(context: BenchContext, nodes: readonly LabNode[], seconds: number): Promise<void> {
  const memory = measureSeries(context, 'idle/PSS of a node', 'MiB', { kind: 'below', value: 220 });
  const cpu = measureSeries(context, 'idle/CPU of a node', '%', { kind: 'below', value: 2 });
  const before = nodes.map((node) => pidsOf(node).map((pid) => [pid, cpuMs(pid)] as const));
  const begun_ms = nowMs();
  await sleep(seconds * 1000);
  const took_ms = nowMs() - begun_ms;
  const parts: string[] = [];
  for (const [at, node] of nodes.entries()) {
    // Helpers that have ended meanwhile are no part of an idle node.
    const lasting = new Set(pidsOf(node));
    const processes = (before[at] ?? []).filter(([pid]) => lasting.has(pid));
    const each = processes.map(([pid]) => pssMib(pid));
    memory.add(each.reduce((sum, mib) => sum + mib, 0));
    cpu.add((100 * processes.reduce((sum, [pid, used_ms]) => sum + cpuMs(pid) - used_ms, 0)) / took_ms);
    parts.push(each.map((mib) => mib.toFixed(0)).join('+'));
  }
  memory.emit(`keeper+agent of the three nodes: ${parts.join(', ')}`);
  cpu.emit(
    `of one core, over ${seconds} s, the three nodes: ${cpu.values.map((v) => v.toFixed(2)).join(', ')}`,
  );
}

export const idle: Figure = {
  name: 'idle',
  summary: 'memory and processor time of a node with nothing to do, three nodes',
  root: false,
  needs: [],
  run: (context) =>
    withLab(async (lab) => {
      await settled(lab);
      await sleep((context.quick ? 2 : rest_s) * 1000);
      await measure(context, lab.nodes, context.quick ? 10 : 60);
    }),
};
