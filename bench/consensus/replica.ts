/**
 * One replica of the benchmark as a process: the consensus of the agent with its real log store and mesh, without an
 * agent; the state is a map in memory. Serves puts and linearizable reads over TCP. It must never be started twice on
 * the same folder: its state is gone when it ends, and its log says otherwise.
 *
 *   node bench/consensus/replica.ts SPEC.json
 */
import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { default_timing } from '../../src/consensus/api.ts';
import {
  bootstrapLog,
  configurationOf,
  log_room_bytes,
  openLogStore,
  openReplica,
} from '../../src/consensus/index.ts';
import type { Configuration, Entry, SnapshotMeta, StateMachine } from '../../src/consensus/types.ts';
import { loadOrCreateIdentity } from '../../src/node/identity.ts';
import { createMesh } from '../../src/node/mesh/libp2p-mesh.ts';
import type { MeshPeer } from '../../src/node/mesh-types.ts';
import { openRealDisk } from '../../src/node/real-disk.ts';
import { createRealEnv } from '../../src/node/real-env.ts';
import { JoinedWrites } from './client.ts';
import { decodePut, encodeFrame, type Frame, FrameSplitter, op_codes, status_codes } from './frames.ts';

export interface ReplicaSpec {
  readonly id: number;
  /** Holds `identity.key`; the log is made in it. */
  readonly dir: string;
  readonly client_port: number;
  /** All of the group, this one too. */
  readonly peers: readonly MeshPeer[];
}

const read_timeout_ms = 10_000;
/** A member that lags because the machine is busy is to catch up from the log: there are no snapshots here. */
const compaction = { keep_entries: 50_000 };

class MapMachine implements StateMachine {
  readonly durable: SnapshotMeta;
  readonly values = new Map<string, Uint8Array>();
  #applied: SnapshotMeta;

  constructor(configuration: Configuration) {
    this.durable = { index: 0, term: 0, configuration };
    this.#applied = this.durable;
  }

  apply(entries: readonly Entry[]): readonly unknown[] {
    for (const { index, term, kind, data } of entries) {
      this.#applied = { ...this.#applied, index, term };
      if (kind !== 'command') continue;
      const { key, value } = decodePut(data);
      this.values.set(key, value);
    }
    return entries.map(() => undefined);
  }

  configuration(_index: number, configuration: Configuration): void {
    this.#applied = { ...this.#applied, configuration };
  }

  /** Not true, and no matter: nobody opens it again. The log is cut as it is in an agent. */
  flush(): Promise<SnapshotMeta> {
    return Promise.resolve(this.#applied);
  }

  snapshot(): never {
    throw new Error('a member lags so far that it needs a snapshot; there is none here');
  }

  restore(): Promise<void> {
    return Promise.reject(new Error('no snapshots here'));
  }
}

async function open(spec: ReplicaSpec): Promise<void> {
  const env = createRealEnv(`replica-${spec.id}`, 'warn');
  const { private_key } = await loadOrCreateIdentity(spec.dir);
  const configuration = configurationOf(spec.peers.map(({ member }) => member));
  const disk = await openRealDisk(join(spec.dir, 'log'));
  await bootstrapLog(disk, configuration);
  const log = await openLogStore(disk, { room_bytes: log_room_bytes });
  const own = spec.peers.find(({ member }) => member === spec.id);
  if (own === undefined) throw new Error(`${spec.id} is not among the peers`);
  const mesh = await createMesh({
    private_key,
    self_member: spec.id,
    listen: own.addresses,
    env,
    generation: 1,
  });
  mesh.setPeers(spec.peers);
  const machine = new MapMachine(configuration);
  const replica = openReplica(
    { id: spec.id, timing: default_timing, limits: { compaction } },
    { log, machine, transport: mesh.raft, env },
  );

  const answer = async ({ code, body }: Frame): Promise<Uint8Array> => {
    switch (code) {
      case op_codes.put:
        // A copy: the frame is a view of what the socket handed over.
        await replica.propose(new Uint8Array(body));
        return Buffer.alloc(0);
      case op_codes.get: {
        const { index } = await replica.readIndex();
        await replica.waitApplied(index, read_timeout_ms);
        const value = machine.values.get(body.toString('latin1'));
        if (value === undefined) throw new Error(`no key ${body.toString('latin1')}`);
        return value;
      }
      case op_codes.leads: {
        const { role, established } = replica.status();
        return Buffer.from([role === 'leader' && established ? 1 : 0]);
      }
      default:
        throw new Error(`unknown request ${code}`);
    }
  };
  const serve = (socket: Socket): void => {
    socket.setNoDelay();
    socket.on('error', () => socket.destroy());
    const splitter = new FrameSplitter();
    const out = new JoinedWrites((all) => socket.write(Buffer.concat(all)));
    socket.on('data', (bytes: Buffer) => {
      for (const frame of splitter.push(bytes)) {
        answer(frame).then(
          (body) => out.send(encodeFrame(frame.id, status_codes.done, body)),
          (error: Error) =>
            out.send(encodeFrame(frame.id, status_codes.failed, Buffer.from(error.message, 'utf8'))),
        );
      }
    });
  };
  createServer(serve).listen(spec.client_port, '127.0.0.1');
  // An orderly end, so that `--cpu-prof` writes what it has.
  process.once('SIGTERM', () => {
    replica
      .close()
      .then(() => mesh.close())
      .then(
        () => process.exit(0),
        () => process.exit(1),
      );
  });
}

const [file = ''] = process.argv.slice(2);
await open(JSON.parse(readFileSync(file, 'utf8')) as ReplicaSpec);
