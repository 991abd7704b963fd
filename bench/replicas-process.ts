/**
 * Some of the replicas of bench/replicas.ts, in one process: consensus alone over loopback TCP, as in the mesh one
 * connection between the leader and each member; the others share one for each pair of processes. Logs and states are in memory: what is measured is what a leader computes and sends, not disks.
 */
import { connect, createServer, type Socket } from 'node:net';
import process from 'node:process';
import { default_timing, type ReplicaApi } from '../src/consensus/api.ts';
import { configurationOf, openReplica } from '../src/consensus/index.ts';
import type { LogStore, MemberId, ReplicaEnv, SnapshotMeta, StateMachine } from '../src/consensus/types.ts';

/** From the parent, in this order; `propose` as often as it likes. */
export type Order =
  | {
      readonly type: 'open';
      readonly process: number;
      /** The process of each member. */
      readonly home: readonly (readonly [MemberId, number])[];
      readonly voters: readonly MemberId[];
      readonly ports: readonly number[];
      readonly relays: boolean;
    }
  | { readonly type: 'measure' }
  | { readonly type: 'load'; readonly per_second: number };

export type Answer =
  | { readonly type: 'listens'; readonly port: number }
  | { readonly type: 'connected' }
  | { readonly type: 'leads'; readonly member: MemberId }
  | {
      readonly type: 'measured';
      readonly cpu_us: number;
      readonly bytes: number;
      readonly frames: number;
      readonly commit: number;
      readonly answered: number;
      /** Of those it knows of, as leader: active, and below a relay. */
      readonly active: number;
      readonly relayed: number;
    };

const header_bytes = 12;
const answer = (what: Answer): void => void process.send?.(what);
/** By {@link linkTo}. */
const sockets = new Map<number, Socket>();
const homes = new Map<MemberId, number>();
const ends = new Map<MemberId, (from: MemberId, bytes: Uint8Array) => void>();
const ups = new Map<MemberId, (peer: MemberId, up: boolean) => void>();
const replicas = new Map<MemberId, ReplicaApi>();
let own = -1;
let bytes_moved = 0;
let frames_moved = 0;
let answered = 0;

/** Frames on a connection: length, from, to, then the frame; all numbers of four bytes. */
function read(socket: Socket, frame: (from: MemberId, to: MemberId, bytes: Uint8Array) => void): void {
  let left: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    let at = 0;
    left = left.length === 0 ? chunk : Buffer.concat([left, chunk]);
    while (left.length - at >= header_bytes) {
      const length = left.readUInt32LE(at);
      if (left.length - at < header_bytes + length) break;
      const start = at + header_bytes;
      at = start + length;
      frame(left.readUInt32LE(start - 8), left.readUInt32LE(start - 4), left.subarray(start, at));
    }
    left = left.subarray(at);
  });
  socket.on('error', (error) => {
    throw error;
  });
}

function take(from: MemberId, to: MemberId, bytes: Uint8Array): void {
  bytes_moved += bytes.length;
  frames_moved++;
  ends.get(to)?.(from, bytes);
}

/** The first process holds the first member only: it has a connection to each of the others. */
const leader_links = 10_000;

function linkTo(from: MemberId, to: MemberId): number {
  if (own === 0) return leader_links + to;
  return to === 1 ? leader_links + from : homes.get(to)!;
}

function send(from: MemberId, to: MemberId, bytes: Uint8Array): void {
  if (homes.get(to) === own) {
    setImmediate(() => ends.get(to)?.(from, bytes));
    return;
  }
  const socket = sockets.get(linkTo(from, to));
  if (socket === undefined) return;
  bytes_moved += bytes.length;
  frames_moved++;
  const header = Buffer.alloc(header_bytes);
  header.writeUInt32LE(bytes.length, 0);
  header.writeUInt32LE(from, 4);
  header.writeUInt32LE(to, 8);
  // What is sent in one turn leaves in one write, as in the mesh.
  if (socket.writableCorked === 0) {
    socket.cork();
    setImmediate(() => socket.uncork());
  }
  socket.write(header);
  socket.write(bytes);
}

function memoryLog(meta: SnapshotMeta): LogStore {
  const done = Promise.resolve();
  return {
    initial: { hard_state: { term: 0, vote: 0, commit: 0 }, snapshot: meta, entries: [] },
    append: () => done,
    compact: () => done,
    reset: () => done,
    close: () => done,
  };
}

function countingMachine(durable: SnapshotMeta): StateMachine {
  let meta = durable;
  const no_snapshots = (): never => {
    throw new Error('a member lags behind the log in memory: there are no snapshots in this benchmark');
  };
  return {
    durable,
    apply(entries) {
      const last = entries.at(-1);
      if (last !== undefined) meta = { ...meta, index: last.index, term: last.term };
      return entries.map(() => undefined);
    },
    configuration(_index, configuration) {
      meta = { ...meta, configuration };
    },
    flush: () => Promise.resolve(meta),
    snapshot: no_snapshots,
    restore: no_snapshots,
  };
}

const env: ReplicaEnv = {
  now_ms: () => performance.now(),
  after(delay_ms, fn) {
    const timer = setTimeout(fn, delay_ms);
    return () => clearTimeout(timer);
  },
  random: Math.random,
  log(level, message, fields) {
    if (level === 'warn' || level === 'error') process.stderr.write(`${message} ${JSON.stringify(fields)}\n`);
  },
  fatal(reason) {
    process.stderr.write(`${reason}\n`);
    process.exit(1);
  },
};

function open(order: Extract<Order, { type: 'open' }>): void {
  own = order.process;
  for (const [member, home] of order.home) homes.set(member, home);
  const all = [...homes.keys()];
  const learners = all.filter((id) => !order.voters.includes(id));
  const meta = { index: 0, term: 0, configuration: configurationOf(order.voters, learners) };
  const relays = { over: order.relays ? 20 : Number.POSITIVE_INFINITY, fan_out: 16 };
  for (const id of all.filter((member) => homes.get(member) === own)) {
    const replica = openReplica(
      { id, timing: default_timing, limits: { relays, compaction: { keep_entries: 100_000 } } },
      {
        log: memoryLog(meta),
        machine: countingMachine(meta),
        transport: {
          send: (to, bytes) => send(id, to, bytes),
          onMessage: (handler) => void ends.set(id, handler),
          onPeer: (handler) => void ups.set(id, handler),
        },
        env,
      },
    );
    replicas.set(id, replica);
    replica.on('role', ({ established }) => {
      if (!established) return;
      // The first member has a process to itself.
      if (id !== 1) replica.transferLeadership(1).catch(() => undefined);
      answer({ type: 'leads', member: id });
    });
    for (const other of all) if (other !== id) ups.get(id)?.(other, true);
  }
}

function measure(): void {
  const { user, system } = process.cpuUsage();
  const status = replicas.get(1)?.status();
  const progress = replicas.get(1)?.progress() ?? [];
  answer({
    type: 'measured',
    cpu_us: user + system,
    bytes: bytes_moved,
    frames: frames_moved,
    commit: status?.commit ?? 0,
    answered,
    active: progress.filter(({ active }) => active).length,
    relayed: progress.filter(({ via }) => via !== undefined).length,
  });
}

/** Commands of 256 bytes at an even pace. */
function load(per_second: number): void {
  const begun_ms = performance.now();
  let sent = 0;
  const data = new Uint8Array(256).fill(7);
  setInterval(() => {
    const due = ((performance.now() - begun_ms) / 1000) * per_second;
    for (; sent < due; sent++) {
      replicas
        .get(1)
        ?.propose(data)
        .then(
          () => answered++,
          (error: Error) => process.stderr.write(`${error.message}\n`),
        );
    }
  }, 5);
}

const server = createServer((socket) => {
  socket.setNoDelay(true);
  // The first four bytes say which link it is.
  socket.once('readable', () => {
    const hello: Buffer | null = socket.read(4);
    if (hello === null) throw new Error('a connection without a greeting');
    sockets.set(hello.readUInt32LE(0), socket);
    read(socket, take);
  });
});

function connectOne(port: number, name: number, key: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.setNoDelay(true);
      const hello = Buffer.alloc(4);
      hello.writeUInt32LE(name);
      socket.write(hello);
      sockets.set(key, socket);
      read(socket, take);
      resolve();
    });
  });
}

async function connectAll({ process: from, ports, home }: Extract<Order, { type: 'open' }>): Promise<void> {
  const others = home.filter(([, at]) => at !== 0);
  if (from === 0) {
    for (const [member, at] of others) {
      await connectOne(ports[at]!, leader_links + member, leader_links + member);
    }
  } else {
    for (let to = from + 1; to < ports.length; to++) await connectOne(ports[to]!, from, to);
  }
  const mine = others.filter(([, at]) => at === from).length;
  const expected = from === 0 ? others.length : ports.length - 2 + mine;
  const wait = (): void => {
    if (sockets.size === expected) answer({ type: 'connected' });
    else setTimeout(wait, 20);
  };
  wait();
}

let opening: Extract<Order, { type: 'open' }> | null = null;
process.on('message', (order: Order | { readonly type: 'go' }) => {
  switch (order.type) {
    case 'open':
      opening = order;
      void connectAll(order);
      break;
    case 'go':
      if (opening !== null) open(opening);
      break;
    case 'measure':
      measure();
      break;
    case 'load':
      load(order.per_second);
      break;
  }
});
process.on('disconnect', () => process.exit(0));
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') answer({ type: 'listens', port: address.port });
});
