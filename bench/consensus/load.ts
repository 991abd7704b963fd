/**
 * The clients, all in one process that measures both stores in turn, so that neither has the better minute: each
 * client waits for its answer before it asks again. One connection a store. Prints one line of JSON a measurement.
 *
 *   node bench/consensus/load.ts SPEC.json
 */
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { nowMs } from '../clock.ts';
import { median } from '../stats.ts';
import type { StoreClient } from './client.ts';
import { EtcdClient } from './etcd-client.ts';
import { SkeinClient } from './skein-client.ts';

export const stores = ['skein', 'etcd'] as const;
export type Store = (typeof stores)[number];
export const operations = ['write', 'read'] as const;
export type Operation = (typeof operations)[number];

export interface Target {
  /** `HOST:PORT` of the leader. */
  readonly address: string;
  /** Processes of all members, whose processor time is counted. */
  readonly pids: readonly number[];
}

export interface LoadSpec {
  readonly targets: Readonly<Record<Store, Target>>;
  readonly client_counts: readonly number[];
  readonly rounds: number;
  /** Of one measurement. */
  readonly round_ms: number;
  /** Of each store and kind of request before anything is measured. */
  readonly warm_ms: number;
  readonly value_bytes: number;
  readonly keys: number;
}

export interface LoadResult {
  readonly store: Store;
  readonly operation: Operation;
  readonly clients: number;
  readonly per_second: number;
  readonly median_ms: number;
  readonly p99_ms: number;
  /** Processor time of all members together, for a thousand requests. */
  readonly members_cpu_ms: number;
  /** Of this process, for as many. */
  readonly client_cpu_ms: number;
}

/** One request of the measurement. */
type Ask = () => Promise<void>;

/** USER_HZ: what /proc counts processor time in, on every Linux. */
const ticks_per_s = 100;

/** User and system time of a process, in ms. */
function cpuOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name, in parentheses, may hold anything; utime and stime are fields 14 and 15 of proc(5).
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticks_per_s;
}

function ownCpu(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Latencies in ms of all requests begun within `round_ms`, and the time until the last was answered. */
async function round(
  clients: number,
  round_ms: number,
  ask: Ask,
): Promise<{ readonly times: readonly number[]; readonly took_ms: number }> {
  const times: number[] = [];
  const begun_ms = nowMs();
  const client = async (): Promise<void> => {
    for (let sent_ms = nowMs(); sent_ms - begun_ms < round_ms; ) {
      await ask();
      const done_ms = nowMs();
      times.push(done_ms - sent_ms);
      sent_ms = done_ms;
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return { times, took_ms: nowMs() - begun_ms };
}

function percentile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)] ?? Number.NaN;
}

async function measure(
  store: Store,
  operation: Operation,
  clients: number,
  spec: LoadSpec,
  ask: Ask,
): Promise<LoadResult> {
  const { pids } = spec.targets[store];
  const cpu = () => pids.reduce((sum, pid) => sum + cpuOf(pid), 0);
  const before = { cpu_ms: cpu(), own_ms: ownCpu() };
  const { times, took_ms } = await round(clients, spec.round_ms, ask);
  const after = { cpu_ms: cpu(), own_ms: ownCpu() };
  const sorted = times.toSorted((a, b) => a - b);
  return {
    store,
    operation,
    clients,
    per_second: (times.length * 1000) / took_ms,
    median_ms: median(times),
    p99_ms: percentile(sorted, 0.99),
    members_cpu_ms: ((after.cpu_ms - before.cpu_ms) * 1000) / times.length,
    client_cpu_ms: ((after.own_ms - before.own_ms) * 1000) / times.length,
  };
}

function asks(client: StoreClient, spec: LoadSpec): Readonly<Record<Operation, Ask>> {
  const value = new Uint8Array(spec.value_bytes).fill(0x78);
  let count = 0;
  const key = (): string => {
    count = (count + 1) % spec.keys;
    return `key${String(count).padStart(6, '0')}`;
  };
  return {
    write: () => client.put(key(), value),
    read: async () => {
      const bytes = await client.get(key());
      if (bytes < spec.value_bytes) throw new Error(`a read was answered with ${bytes} bytes only`);
    },
  };
}

async function main(spec: LoadSpec): Promise<void> {
  const clients: Readonly<Record<Store, StoreClient>> = {
    skein: new SkeinClient(spec.targets.skein.address),
    etcd: new EtcdClient(spec.targets.etcd.address),
  };
  const of = { skein: asks(clients.skein, spec), etcd: asks(clients.etcd, spec) };
  const most = Math.max(...spec.client_counts);
  for (const store of stores) {
    // Every key is there before the first read.
    for (let key = 0; key < spec.keys; key += most) {
      await Promise.all(Array.from({ length: most }, () => of[store].write()));
    }
    for (const operation of operations) await round(most, spec.warm_ms, of[store][operation]);
  }
  for (let at = 0; at < spec.rounds; at++) {
    for (const operation of operations) {
      for (const count of spec.client_counts) {
        // The other one first in every second round.
        for (const store of at % 2 === 0 ? stores : stores.toReversed()) {
          const result = await measure(store, operation, count, spec, of[store][operation]);
          process.stdout.write(`${JSON.stringify(result)}\n`);
        }
      }
    }
  }
  for (const client of Object.values(clients)) client.close();
}

if (import.meta.main) {
  const [file = ''] = process.argv.slice(2);
  await main(JSON.parse(readFileSync(file, 'utf8')) as LoadSpec);
}
