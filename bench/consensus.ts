/**
 * Consensus alone: three replicas as processes, without agents, beside three members of etcd with the settings they
 * come with; same disk, loopback, the same clients in turn. Values of 256 bytes; reads are linearizable. The clients ask
 * the leader, all over one connection. Not the same on both sides, and told with the figures: etcd also keeps its state,
 * with its history, in a file, ours is a map in memory here; our members encrypt what they say to each other, etcd's
 * do not; our clients speak a binary protocol of this benchmark, etcd's its native gRPC.
 */
import {
  closeSync,
  fdatasyncSync,
  mkdtempSync,
  openSync,
  realpathSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { scriptArgv, startChild } from './child.ts';
import { nowMs } from './clock.ts';
import {
  type LoadResult,
  type LoadSpec,
  type Operation,
  operations,
  type Store,
  stores,
} from './consensus/load.ts';
import { type Members, startEtcd, startReplicas } from './consensus/members.ts';
import type { BenchContext, Figure, Goal } from './figure.ts';
import { onLine } from './line-reader.ts';
import { measureSeries, type Series } from './measure.ts';

const client_counts = [1, 64] as const;
const one_client = client_counts[0];
const many_clients = client_counts[1];

type Column = 'per_second' | 'median_ms' | 'p99_ms' | 'members_cpu_ms' | 'client_cpu_ms';

const columns: readonly { readonly column: Column; readonly unit: 'count' | 'ms'; readonly text: string }[] =
  [
    { column: 'per_second', unit: 'count', text: 'per second' },
    { column: 'median_ms', unit: 'ms', text: 'median' },
    { column: 'p99_ms', unit: 'ms', text: 'p99' },
    { column: 'members_cpu_ms', unit: 'ms', text: 'members CPU, 1000 requests' },
    { column: 'client_cpu_ms', unit: 'ms', text: 'client CPU, 1000 requests' },
  ];

const notes: Readonly<Record<Store, string>> = {
  skein: 'state in memory; encrypted between members; binary frames',
  etcd: 'default settings; native gRPC',
};

/** What a write costs on this disk at least: 512 bytes appended and synced. */
function syncTimes(context: BenchContext, dir: string): void {
  const times = measureSeries(context, 'consensus/fdatasync', 'ms');
  const file = openSync(join(dir, 'sync'), 'w', 0o600);
  try {
    const bytes = new Uint8Array(512);
    for (let at = 0; at < 200; at++) {
      const begun_ms = nowMs();
      writeSync(file, bytes);
      fdatasyncSync(file);
      times.add(nowMs() - begun_ms);
    }
  } finally {
    closeSync(file);
  }
  times.emit('512 bytes appended and synced, one process; for context');
}

/** Runs the clients; every line of theirs is handed on as it comes. Rejects unless they end as they should. */
async function runLoad(
  context: BenchContext,
  dir: string,
  spec: LoadSpec,
  take: (result: LoadResult) => void,
): Promise<void> {
  const file = join(dir, 'load.json');
  writeFileSync(file, JSON.stringify(spec));
  const child = await startChild(scriptArgv('consensus/load.ts', file), {
    namespace: null,
    log: join(dir, 'load.log'),
    pipe: true,
  });
  const stop = (): void => void child.end();
  context.signal.addEventListener('abort', stop);
  let results = 0;
  onLine(child, (line) => {
    results += 1;
    take(JSON.parse(line) as LoadResult);
  });
  // All its output is there when the pipe is closed, which may be after its exit.
  await new Promise((resolve) => child.process.once('close', resolve));
  context.signal.removeEventListener('abort', stop);
  context.signal.throwIfAborted();
  const expected = spec.rounds * operations.length * spec.client_counts.length * stores.length;
  if (child.process.exitCode !== 0 || results !== expected) {
    throw new Error(
      `the clients ended with ${child.process.exitCode} after ${results} of ${expected} rounds`,
    );
  }
}

interface Row {
  readonly operation: Operation;
  readonly clients: number;
  readonly store: Store;
  readonly series: Readonly<Record<Column, Series>>;
}

function rowsFor(context: BenchContext): readonly Row[] {
  return operations.flatMap((operation) =>
    client_counts.flatMap((clients) =>
      stores.map((store): Row => {
        const series = columns.map(({ column, unit, text }) => {
          const name = `consensus/${operation}, ${clients} at a time/${store} ${text}`;
          return [column, measureSeries(context, name, unit)] as const;
        });
        return { operation, clients, store, series: Object.fromEntries(series) as Row['series'] };
      }),
    ),
  );
}

/** @throws Error when nothing of the kind is measured */
function rowOf(rows: readonly Row[], operation: Operation, clients: number, store: Store): Row {
  const row = rows.find((of) => of.operation === operation && of.clients === clients && of.store === store);
  if (row === undefined) throw new Error(`no row for ${operation}, ${clients} at a time, ${store}`);
  return row;
}

/** Of measurements taken one right after the other: what else the machine does weighs on both. */
function emitRatios(context: BenchContext, rows: readonly Row[]): void {
  const tell = (operation: Operation, clients: number, column: Column, goal: Goal | null): void => {
    const text = columns.find((of) => of.column === column)?.text ?? column;
    const name = `consensus/${operation}, ${clients} at a time/skein : etcd ${text}`;
    const ratios = measureSeries(context, name, 'x', goal);
    const [ours = [], theirs = []] = stores.map(
      (store) => rowOf(rows, operation, clients, store).series[column].values,
    );
    ours.forEach((value, at) => void ratios.add(value / (theirs[at] ?? Number.NaN)));
    ratios.emit('ratio, round by round');
  };
  for (const operation of operations) {
    tell(operation, one_client, 'median_ms', { kind: 'below', value: 1.5 });
    tell(operation, one_client, 'p99_ms', null);
    tell(operation, one_client, 'members_cpu_ms', null);
    tell(operation, many_clients, 'per_second', { kind: 'at-least', value: 1 });
    tell(operation, many_clients, 'p99_ms', null);
    tell(operation, many_clients, 'members_cpu_ms', null);
  }
}

async function measure(
  context: BenchContext,
  dir: string,
  members: Readonly<Record<Store, Members>>,
): Promise<void> {
  const leaders = async () => ({ skein: await members.skein.leader(), etcd: await members.etcd.leader() });
  const targets = await leaders();
  const spec: LoadSpec = {
    targets,
    client_counts,
    rounds: context.trials,
    round_ms: context.quick ? 500 : 1_000,
    warm_ms: context.quick ? 1_000 : 4_000,
    value_bytes: 256,
    keys: 1_000,
  };
  const rows = rowsFor(context);
  await runLoad(context, dir, spec, (result) => {
    const { store, operation, clients } = result;
    const { series } = rowOf(rows, operation, clients, store);
    for (const { column } of columns) series[column].add(result[column]);
    const { per_second, median_ms } = result;
    context.say(
      `consensus ${operation} x ${clients}: ${store} ${per_second.toFixed(0)}/s, ${median_ms.toFixed(2)} ms`,
    );
  });
  const after = await leaders();
  for (const store of stores) {
    if (after[store].address !== targets[store].address) {
      throw new Error(`${store} changed its leader while it was measured`);
    }
  }
  for (const { series, store } of rows) for (const { column } of columns) series[column].emit(notes[store]);
  emitRatios(context, rows);
}

export const consensus: Figure = {
  name: 'consensus',
  summary: 'writes and linearizable reads of three replicas without agents, beside etcd',
  root: false,
  needs: [
    ['etcd', 'etcd-server'],
    ['etcdctl', 'etcd-client'],
  ],
  async run(context) {
    const dir = realpathSync(mkdtempSync(join(tmpdir(), 'skein-bench-')));
    const started: Members[] = [];
    const start = async (members: Promise<Members>): Promise<Members> => {
      started.push(await members);
      return members;
    };
    try {
      syncTimes(context, dir);
      const skein = await start(startReplicas(dir));
      const etcd = await start(startEtcd(dir));
      await measure(context, dir, { skein, etcd });
    } finally {
      await Promise.all(started.map((members) => members.close()));
      rmSync(dir, { recursive: true, force: true });
    }
  },
};
