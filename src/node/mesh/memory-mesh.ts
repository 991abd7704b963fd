/**
 * An in-memory network of meshes for simulation and tests: the same mesh code as in production over connections that
 * exist only here, in the time that is handed in. Deterministic: it has no clock, timer or chance of its own.
 * Hosts are named by their peer ids.
 */
import type { MeshCluster } from '../mesh-types.ts';
import {
  type Carrier,
  type CarrierConnection,
  type CarrierEvents,
  DialError,
  type MeshEnv,
} from './carrier.ts';
import { MemoryConnection } from './memory-connection.ts';
import { MemoryPipe } from './memory-pipe.ts';
import { MeshCore } from './mesh-core.ts';

export type CutDirection = 'both' | 'a-to-b' | 'b-to-a';

export interface MemoryMeshOptions {
  readonly peer_id: string;
  readonly self_member: number;
  /** Where others dial it; `/memory/PEER` if not given. */
  readonly addresses?: readonly string[];
  readonly generation: number;
  readonly cluster?: MeshCluster;
  /** This host's own clock and chance; the network's if not given. */
  readonly env?: MeshEnv;
}

export interface MemoryNetwork {
  createMesh(options: MemoryMeshOptions): MeshCore;
  /** Holds back everything in that direction. Standing connections stay until somebody gives them up. */
  cut(a: string, b: string, direction: CutDirection): void;
  /** Undoes all cuts between the two; what was held back arrives. */
  heal(a: string, b: string): void;
  healAll(): void;
  /** One-way delay between two hosts, asked for each packet. Without it: the network's default. */
  setDelay(a: string, b: string, delay_ms: () => number): void;
  /** The host's process is gone. `silent`: with it the power, so that nobody is told; otherwise its kernel resets its connections. */
  kill(peer_id: string, options: { readonly silent: boolean }): void;
  /** Standing connections between two hosts. */
  connections(a: string, b: string): number;
}

interface Host {
  readonly peer_id: string;
  readonly addresses: readonly string[];
  /** Of a host that is dead: {@link nobody}, so that connections that others still have do not keep all of its life. */
  events: CarrierEvents;
  readonly connections: Set<MemoryConnection>;
  /** `dead`: its kernel still refuses connections. `dark`: nothing answers. */
  state: 'alive' | 'dead' | 'dark';
}

export function createMemoryNetwork(env: MeshEnv, default_delay_ms: () => number = () => 0.2): MemoryNetwork {
  return new Network(env, default_delay_ms);
}

class Network implements MemoryNetwork {
  readonly #env: MeshEnv;
  readonly #default_delay_ms: () => number;
  readonly #hosts = new Map<string, Host>();
  /** By address, the newest last. */
  readonly #listening = new Map<string, Host[]>();
  readonly #cuts = new Set<string>();
  readonly #delays = new Map<string, () => number>();
  /** By direction, see {@link pairKey}. */
  readonly #pipes = new Map<string, Set<MemoryPipe>>();

  constructor(env: MeshEnv, default_delay_ms: () => number) {
    this.#env = env;
    this.#default_delay_ms = default_delay_ms;
  }

  createMesh(options: MemoryMeshOptions): MeshCore {
    const { peer_id } = options;
    if (this.#hosts.get(peer_id)?.state === 'alive') throw new Error(`a host ${peer_id} is alive already`);
    const core = new MeshCore({ ...options, env: options.env ?? this.#env });
    const addresses = options.addresses ?? [`/memory/${peer_id}`];
    const host: Host = { peer_id, addresses, events: core, connections: new Set(), state: 'alive' };
    this.#listen(host);
    const carrier: Carrier = {
      peer_id,
      addresses,
      dial: (to, address, signal) => this.#dial(host, to, address, signal),
      disconnect: (to, reason) => {
        for (const connection of [...host.connections])
          if (connection.peer_id === to) connection.abort(reason);
      },
      close: async () => {
        if (host.state === 'alive') host.state = 'dead';
        for (const connection of [...host.connections]) connection.abort('the mesh is closed');
      },
    };
    core.start(carrier);
    return core;
  }

  /**
   * In the place of the host's former life. Apart from `createMesh`: its closures live as long as the mesh does, and would
   * hold the former life, which holds the one before.
   */
  #listen(host: Host): void {
    const { peer_id, addresses } = host;
    const former = this.#hosts.get(peer_id);
    this.#hosts.set(peer_id, host);
    for (const address of former?.addresses ?? []) {
      const left = this.#listening.get(address)!.filter((one) => one !== former);
      this.#listening.set(address, left);
    }
    for (const address of addresses)
      this.#listening.set(address, [...(this.#listening.get(address) ?? []), host]);
  }

  cut(a: string, b: string, direction: CutDirection): void {
    if (direction !== 'b-to-a') this.#cuts.add(pairKey(a, b));
    if (direction !== 'a-to-b') this.#cuts.add(pairKey(b, a));
  }

  heal(a: string, b: string): void {
    this.#mend(pairKey(a, b));
    this.#mend(pairKey(b, a));
  }

  healAll(): void {
    for (const key of [...this.#cuts]) this.#mend(key);
  }

  setDelay(a: string, b: string, delay_ms: () => number): void {
    this.#delays.set(pairKey(a, b), delay_ms);
    this.#delays.set(pairKey(b, a), delay_ms);
  }

  kill(peer_id: string, options: { readonly silent: boolean }): void {
    const host = this.#hosts.get(peer_id);
    if (host === undefined) throw new Error(`no host ${peer_id}`);
    host.state = options.silent ? 'dark' : 'dead';
    for (const connection of [...host.connections]) {
      if (options.silent) connection.vanish('killed');
      else connection.abort('killed');
    }
    host.events = nobody;
  }

  connections(a: string, b: string): number {
    const host = this.#hosts.get(a);
    return host === undefined
      ? 0
      : [...host.connections].filter((connection) => connection.peer_id === b).length;
  }

  #dial(from: Host, to: string, address: string, signal: AbortSignal): Promise<CarrierConnection> {
    return new Promise((resolve, reject) => {
      const fail = (code: DialError['code'], message: string) => {
        signal.removeEventListener('abort', onAbort);
        reject(new DialError(code, message));
      };
      const onAbort = () => fail('timeout', 'no connection in time');
      if (signal.aborted) return onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      if (from.state !== 'alive') return fail('unreachable', 'this host is dead');
      const target = this.#hostAt(address);
      if (target === undefined) return fail('unreachable', `nothing at ${address}`);
      const there = this.#pipe(from.peer_id, target.peer_id);
      const back = this.#pipe(target.peer_id, from.peer_id);
      const drop = () => {
        this.#drop(from.peer_id, target.peer_id, there);
        this.#drop(target.peer_id, from.peer_id, back);
      };
      there.send(() => {
        if (signal.aborted) return drop();
        if (target.state === 'dark') return drop();
        const refuse = (code: DialError['code'], message: string) => {
          back.send(() => {
            drop();
            fail(code, message);
          });
        };
        if (target.state === 'dead') return refuse('unreachable', `connection refused by ${address}`);
        if (target.peer_id !== to) return refuse('wrong-peer', 'another peer than expected answers there');
        if (!target.events.admit(from.peer_id)) return refuse('refused', 'the peer closed the connection');
        const near = new MemoryConnection(to, address, there, (...args) => from.events.stream(...args));
        // Who listens nowhere comes from an address all the same: joiners are counted by it.
        const source = from.addresses[0] ?? `/memory/${from.peer_id}`;
        const far = new MemoryConnection(from.peer_id, source, back, (...args) =>
          target.events.stream(...args),
        );
        MemoryConnection.join(near, far);
        let ends = 2;
        for (const end of [near, far]) end.onClose(() => (--ends === 0 ? drop() : undefined));
        this.#track(target, far);
        back.send(() => {
          signal.removeEventListener('abort', onAbort);
          if (signal.aborted || from.state !== 'alive' || !far.open) {
            near.abort('the dial was given up');
            if (!signal.aborted) reject(new DialError('refused', 'the peer closed the connection'));
            return;
          }
          this.#track(from, near);
          resolve(near);
        });
        target.events.inbound(far);
      });
    });
  }

  #hostAt(address: string): Host | undefined {
    const hosts = this.#listening.get(address) ?? [];
    // A host that was made anew under another peer id took the address over.
    return hosts.find((host) => host.state === 'alive') ?? hosts[0];
  }

  #track(host: Host, connection: MemoryConnection): void {
    host.connections.add(connection);
    connection.onClose(() => host.connections.delete(connection));
  }

  #pipe(from: string, to: string): MemoryPipe {
    const key = pairKey(from, to);
    const pipe = new MemoryPipe(this.#env, {
      cut: () => this.#cuts.has(key),
      delay_ms: () => (this.#delays.get(key) ?? this.#default_delay_ms)(),
    });
    const present = this.#pipes.get(key);
    if (present === undefined) this.#pipes.set(key, new Set([pipe]));
    else present.add(pipe);
    return pipe;
  }

  #drop(from: string, to: string, pipe: MemoryPipe): void {
    pipe.kill();
    const key = pairKey(from, to);
    const left = this.#pipes.get(key);
    left?.delete(pipe);
    if (left?.size === 0) this.#pipes.delete(key);
  }

  /** One direction is whole again. Others hold nothing back on its account. */
  #mend(key: string): void {
    if (!this.#cuts.delete(key)) return;
    for (const pipe of this.#pipes.get(key) ?? []) pipe.healed();
  }
}

const nobody: CarrierEvents = { admit: () => false, inbound: () => undefined, stream: () => undefined };

function pairKey(from: string, to: string): string {
  return `${from} ${to}`;
}
