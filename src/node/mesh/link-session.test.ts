/** One stream of a connection that takes nothing, while the other goes on: scripted streams, time by hand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestEnv, settled } from '../test-env.ts';
import type { CarrierConnection, CarrierStream } from './carrier.ts';
import { joinFrames } from './frame-reader.ts';
import { mesh_limits, mesh_version } from './limits.ts';
import { LinkSession } from './link-session.ts';
import { encodeRpcFrame, first_generation } from './rpc-frame.ts';

class ScriptedStream implements CarrierStream {
  writable = true;
  sent = 0;
  #drained: () => void = () => undefined;
  #data: (chunk: Uint8Array) => void = () => undefined;

  send(): void {
    this.sent += 1;
  }
  onData(handler: (chunk: Uint8Array) => void): void {
    this.#data = handler;
  }
  onDrain(handler: () => void): void {
    this.#drained = handler;
  }
  readonly onClose = () => undefined;
  readonly pause = () => undefined;
  readonly resume = () => undefined;
  readonly close = () => undefined;
  readonly abort = () => undefined;

  hear(chunk: Uint8Array): void {
    this.#data(chunk);
  }
  /** Takes one batch, and no more. */
  takeOne(): void {
    this.writable = true;
    const before = this.sent;
    const send = this.send;
    this.send = () => {
      this.writable = false;
      this.sent = before + 1;
    };
    this.#drained();
    this.send = send;
  }
}

async function opened() {
  const env = createTestEnv();
  const raft = new ScriptedStream();
  const rpc = new ScriptedStream();
  const ends: string[] = [];
  const connection: CarrierConnection = {
    peer_id: 'peer-2',
    remote_address: '/ip4/10.0.0.2',
    open: true,
    openStream: () => Promise.reject(new Error('both are there')),
    onClose: () => undefined,
    abort: () => undefined,
  };
  const session = new LinkSession(connection, raft, rpc, {
    env,
    member: 2,
    peer_id: 'peer-2',
    generation: 1,
    cluster: { own: () => first_generation, other: () => undefined },
    handlers: new Map(),
    onOpen: () => undefined,
    onRaft: () => undefined,
    onEnd: (_session, reason) => void ends.push(reason),
  });
  rpc.hear(
    joinFrames([
      encodeRpcFrame({ kind: 'hello', version: mesh_version, generation: 1, cluster: first_generation }),
    ]),
  );
  assert.equal(session.state, 'open');
  /** Seconds pass; the peer answers every ping. */
  const seconds = async (count: number, own_pause = false) => {
    for (let second = 0; second < count; second += 1) {
      await env.advance(mesh_limits.tick_ms);
      rpc.hear(joinFrames([encodeRpcFrame({ kind: 'ping', nonce: second })]));
      session.tick(env.now_ms(), own_pause);
      await settled();
    }
  };
  const silence_s = mesh_limits.silence_ms / mesh_limits.tick_ms;
  return { raft, session, ends, seconds, silence_s };
}

test('a raft stream that takes nothing ends the connection, though the peer answers', async () => {
  const { raft, session, ends, seconds, silence_s } = await opened();
  raft.writable = false;
  session.sendRaft(new Uint8Array(9));
  await seconds(silence_s - 1);
  assert.deepEqual(ends, []);
  session.sendRaft(new Uint8Array(9));
  await seconds(1);
  assert.deepEqual(ends, [`its raft stream took nothing for ${mesh_limits.silence_ms} ms`]);
});

test('a queue that overflows is not one that moves', async () => {
  const { raft, session, ends, seconds, silence_s } = await opened();
  raft.writable = false;
  for (let second = 0; second < silence_s + 1 && ends.length === 0; second += 1) {
    for (let part = 0; part < 4; part += 1)
      session.sendRaft(new Uint8Array(mesh_limits.raft_queue_bytes / 4 - 64));
    await seconds(1);
  }
  assert.equal(ends.length, 1);
});

test('nothing to send, a slow stream that moves, and a pause of this process end nothing', async () => {
  const { raft, session, ends, seconds, silence_s } = await opened();
  raft.writable = false;
  await seconds(3 * silence_s);
  assert.deepEqual(ends, [], 'nothing waits');
  for (let round = 0; round < 4; round += 1) {
    // More than one batch: some is left whenever it takes one.
    session.sendRaft(new Uint8Array(mesh_limits.write_batch_bytes));
    session.sendRaft(new Uint8Array(mesh_limits.write_batch_bytes));
    await seconds(silence_s - 1);
    const before = raft.sent;
    raft.takeOne();
    assert.equal(raft.sent, before + 1);
  }
  assert.deepEqual(ends, [], 'it moves');
  await seconds(silence_s - 2);
  await seconds(1, true);
  await seconds(silence_s - 2);
  assert.deepEqual(ends, [], 'nobody knows what happened during the pause');
});
