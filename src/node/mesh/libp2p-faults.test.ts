/** What only real sockets and processes can show: kills, restarts, hostile bytes. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { generateKeyPair, privateKeyToProtobuf } from '@libp2p/crypto/keys';
import type { Ed25519PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import type { Mesh } from '../mesh-types.ts';
import type { Carrier, CarrierConnection, CarrierStream } from './carrier.ts';
import { joinFrames } from './frame-reader.ts';
import { createLibp2pCarrier } from './libp2p-carrier.ts';
import { createMesh } from './libp2p-mesh.ts';
import { mesh_limits, raft_protocol, rpc_protocol } from './limits.ts';
import { encodeRpcFrame, first_generation } from './rpc-frame.ts';
import { connectAll, peerOf, testEnv, until } from './test-env.ts';

const any_port = '/ip4/127.0.0.1/tcp/0';
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function make(
  member: number,
  key: Ed25519PrivateKey,
  listen = any_port,
  generation = 1,
): Promise<Mesh> {
  const mesh = await createMesh({
    private_key: key,
    self_member: member,
    listen: [listen],
    env: testEnv(),
    generation,
  });
  cleanups.push(() => mesh.close());
  return mesh;
}

/** `count` keys in the order of their peer ids: the first dials all others. */
async function sortedKeys(count: number): Promise<Ed25519PrivateKey[]> {
  const keys = await Promise.all(Array.from({ length: count }, () => generateKeyPair('Ed25519')));
  const id = (key: Ed25519PrivateKey) => peerIdFromPrivateKey(key).toString();
  return keys.sort((a, b) => (id(a) < id(b) ? -1 : 1));
}

/** A member's carrier with a mind of its own on top. */
async function hostile(key: Ed25519PrivateKey): Promise<Carrier> {
  const events = { admit: () => true, inbound: () => undefined, stream: () => undefined };
  const carrier = await createLibp2pCarrier({ private_key: key, listen: [any_port], env: testEnv() }, events);
  cleanups.push(() => carrier.close());
  return carrier;
}

async function openBoth(
  from: Carrier,
  to: Mesh,
): Promise<{ connection: CarrierConnection; raft: CarrierStream; rpc: CarrierStream }> {
  const signal = AbortSignal.timeout(5000);
  const connection = await from.dial(to.peer_id, to.addresses[0]!, signal);
  const raft = await connection.openStream(raft_protocol, signal);
  const rpc = await connection.openStream(rpc_protocol, signal);
  return { connection, raft, rpc };
}

const hello = (generation: number) =>
  joinFrames([encodeRpcFrame({ kind: 'hello', version: 1, generation, cluster: first_generation })]);

const child_program = `
import { privateKeyFromProtobuf } from '@libp2p/crypto/keys';
import { createMesh } from ${JSON.stringify(new URL('./libp2p-mesh.ts', import.meta.url).href)};
import { testEnv } from ${JSON.stringify(new URL('./test-env.ts', import.meta.url).href)};
const { key, member, peers, listen, generation } = JSON.parse(process.argv[1]);
const private_key = privateKeyFromProtobuf(Buffer.from(key, 'base64'));
const mesh = await createMesh({ private_key, self_member: member, listen: [listen], env: testEnv(), generation });
mesh.handle('pid', async () => process.pid);
mesh.setPeers(peers);
console.log(JSON.stringify(mesh.addresses));
`;

async function child(
  member: number,
  key: Ed25519PrivateKey,
  peers: readonly unknown[],
  listen: string,
  generation: number,
) {
  const input = {
    key: Buffer.from(privateKeyToProtobuf(key)).toString('base64'),
    member,
    peers,
    listen,
    generation,
  };
  const argv = ['--input-type=module', '-e', child_program, JSON.stringify(input)];
  const process_ = spawn(process.execPath, argv, {
    cwd: import.meta.dirname,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(process_, 'exit');
  cleanups.push(async () => {
    process_.kill('SIGKILL');
    await exited;
  });
  const [line] = (await once(process_.stdout, 'data')) as [Buffer];
  return { process: process_, addresses: JSON.parse(line.toString()) as string[], exited };
}

describe('libp2p mesh under faults', () => {
  for (const order of ['dials', 'is dialled by'] as const) {
    it(`notices the kill -9 of a peer it ${order} at once, and finds it again on the same port`, async () => {
      const [low, high] = (await sortedKeys(2)) as [Ed25519PrivateKey, Ed25519PrivateKey];
      const [own, other] = order === 'dials' ? [low, high] : [high, low];
      const mesh = await make(1, own);
      const other_id = peerIdFromPrivateKey(other).toString();
      const first = await child(2, other, [peerOf(1, mesh)], any_port, 1);
      mesh.setPeers([peerOf(1, mesh), { member: 2, peer_id: other_id, addresses: first.addresses }]);
      await until('it is up', () => mesh.isUp(2));
      assert.equal(await mesh.call(2, 'pid', null, { timeout_ms: 5000 }), first.process.pid);
      const times = { down: 0, up: 0 };
      mesh.onPeer((_, up) => {
        times[up ? 'up' : 'down'] = performance.now();
      });
      const killed_at = performance.now();
      first.process.kill('SIGKILL');
      await until('it is down', () => !mesh.isUp(2));
      // Measured 2-5 ms; the margin is for a loaded machine. Pings would take six seconds.
      assert.ok(times.down - killed_at < 500, `noticed after ${times.down - killed_at} ms`);
      await first.exited;
      const second = await child(2, other, [peerOf(1, mesh)], first.addresses[0]!, 2);
      const started_at = performance.now();
      await until('it is up again', () => mesh.isUp(2));
      assert.ok(times.up - started_at < 2500, `reconnected after ${times.up - started_at} ms`);
      assert.equal(await mesh.call(2, 'pid', null, { timeout_ms: 5000 }), second.process.pid);
    });
  }

  it('has exactly one connection a pair after a simultaneous start', async () => {
    const keys = await sortedKeys(3);
    const meshes = await Promise.all(keys.map((key, at) => make(at + 1, key)));
    const ups: string[] = [];
    for (const [at, mesh] of meshes.entries())
      mesh.onPeer((member, up) => ups.push(`${at + 1} ${member} ${up}`));
    await connectAll(meshes);
    // Long enough for every knock and every repeated dial to have come and gone.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    assert.deepEqual(ups.sort(), ['1 2 true', '1 3 true', '2 1 true', '2 3 true', '3 1 true', '3 2 true']);
    // The lowest peer id dials everybody, the highest nobody.
    assert.deepEqual(meshes.map(connectionsTo), [0, 1, 2]);
  });

  it('cuts off a member that sends a frame over the limit, and nobody else', async () => {
    const [low, own, good] = (await sortedKeys(3)) as [
      Ed25519PrivateKey,
      Ed25519PrivateKey,
      Ed25519PrivateKey,
    ];
    const mesh = await make(1, own);
    const friend = await make(2, good);
    const bad = await hostile(low);
    const peers = [
      peerOf(1, mesh),
      peerOf(2, friend),
      { member: 3, peer_id: bad.peer_id, addresses: bad.addresses },
    ];
    mesh.setPeers(peers);
    friend.setPeers(peers.slice(0, 2));
    await until('the friend is up', () => mesh.isUp(2));
    for (const protocol of ['raft', 'rpc'] as const) {
      const streams = await openBoth(bad, mesh);
      streams.rpc.send(hello(1));
      await until('the hostile one is up', () => mesh.isUp(3));
      streams[protocol].send(Uint8Array.of(0, 0x40, 0, 1));
      const at = performance.now();
      await until('it is cut off', () => !mesh.isUp(3) && !streams.connection.open);
      // For the frame, not for its silence later.
      assert.ok(performance.now() - at < mesh_limits.ping_after_ms, `after ${performance.now() - at} ms`);
    }
    const streams = await openBoth(bad, mesh);
    streams.rpc.send(hello(1));
    streams.rpc.send(joinFrames([Uint8Array.of(0xc1, 1, 2, 3)]));
    await until('garbage in a frame ends it too', () => !streams.connection.open);
    friend.handle('ok', async () => 'ok');
    assert.equal(await mesh.call(2, 'ok', null, { timeout_ms: 5000 }), 'ok');
  });

  it('ends a member that opens no streams, speaks another version, or asks before hello', async () => {
    const [low, own] = (await sortedKeys(2)) as [Ed25519PrivateKey, Ed25519PrivateKey];
    const mesh = await make(1, own);
    const bad = await hostile(low);
    mesh.setPeers([{ member: 2, peer_id: bad.peer_id, addresses: bad.addresses }]);
    let called = false;
    mesh.handle('m', async () => {
      called = true;
    });
    const frames = [
      encodeRpcFrame({ kind: 'hello', version: 99, generation: 1, cluster: first_generation }),
      encodeRpcFrame({ kind: 'request', id: 1, method: 'm', params: null }),
    ];
    for (const frame of frames) {
      const streams = await openBoth(bad, mesh);
      streams.rpc.send(joinFrames([frame]));
      await until('it is ended', () => !streams.connection.open);
    }
    assert.equal(called, false);
    assert.equal(mesh.isUp(2), false);
  });

  it('prefers the newer connection, but not one of an older life', async () => {
    const [low, own] = (await sortedKeys(2)) as [Ed25519PrivateKey, Ed25519PrivateKey];
    const mesh = await make(1, own);
    const peer = await hostile(low);
    mesh.setPeers([{ member: 2, peer_id: peer.peer_id, addresses: peer.addresses }]);
    const first = await openBoth(peer, mesh);
    first.rpc.send(hello(5));
    await until('up', () => mesh.isUp(2));
    const older = await openBoth(peer, mesh);
    older.rpc.send(hello(4));
    await until('the older life is refused', () => !older.connection.open);
    assert.ok(first.connection.open && mesh.isUp(2));
    const events: boolean[] = [];
    mesh.onPeer((_, up) => events.push(up));
    const newer = await openBoth(peer, mesh);
    newer.rpc.send(hello(6));
    await until('the first is replaced', () => !first.connection.open);
    assert.ok(newer.connection.open && mesh.isUp(2));
    assert.deepEqual(events, [false, true]);
  });

  it('refuses a foreign peer right after the handshake', async () => {
    const [foreign, own] = (await sortedKeys(2)) as [Ed25519PrivateKey, Ed25519PrivateKey];
    const mesh = await make(1, own);
    mesh.setPeers([]);
    const stranger = await hostile(foreign);
    await assert.rejects(openBoth(stranger, mesh));
    await until('nothing of it is left', () => connectionsTo(mesh) === 0);
  });

  it('survives garbage on its port', async () => {
    const keys = await sortedKeys(2);
    const meshes = await Promise.all(keys.map((key, at) => make(at + 1, key)));
    const port = Number(meshes[0]!.addresses[0]!.split('/').at(-1));
    for (const bytes of [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.alloc(70_000, 0xff),
      Buffer.from('\x13/multistream/1.0.0\n\xff\xff'),
    ]) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => socket.destroy());
      await once(socket, 'connect');
      socket.end(bytes);
      socket.resume();
      await once(socket, 'close');
    }
    await connectAll(meshes);
  });

  it('rejects an address it cannot listen on', async () => {
    const [key, other] = (await sortedKeys(2)) as [Ed25519PrivateKey, Ed25519PrivateKey];
    const mesh = await make(1, key);
    await assert.rejects(make(2, other, mesh.addresses[0]!), /EADDRINUSE|could not listen|listen/i);
  });

  it('shows a silent peer as down, and up when it wakes', { timeout: 30_000 }, async () => {
    const [low, high] = (await sortedKeys(2)) as [Ed25519PrivateKey, Ed25519PrivateKey];
    const mesh = await make(1, low);
    const peer_id = peerIdFromPrivateKey(high).toString();
    const frozen = await child(2, high, [peerOf(1, mesh)], any_port, 1);
    mesh.setPeers([{ member: 2, peer_id, addresses: frozen.addresses }]);
    await until('it is up', () => mesh.isUp(2));
    frozen.process.kill('SIGSTOP');
    const at = performance.now();
    await until('it is down', () => !mesh.isUp(2));
    const after_ms = performance.now() - at;
    assert.ok(after_ms >= mesh_limits.silence_ms - mesh_limits.ping_after_ms - 1500, `after ${after_ms} ms`);
    frozen.process.kill('SIGCONT');
    await until('it is up again', () => mesh.isUp(2));
  });
});

/** Connections to the port of a mesh that the system holds, whether the mesh knows of them or not. */
function connectionsTo(mesh: Mesh): number {
  const port = Number(mesh.addresses[0]!.split('/').at(-1));
  const report = process.report.getReport() as unknown as {
    readonly libuv: readonly {
      readonly type: string;
      readonly remoteEndpoint?: { readonly port: number } | null;
    }[];
  };
  return report.libuv.filter(({ type, remoteEndpoint }) => type === 'tcp' && remoteEndpoint?.port === port)
    .length;
}
