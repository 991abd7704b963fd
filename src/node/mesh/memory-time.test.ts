/** The mesh in virtual time: silence, redialling, own pauses, cuts in one direction. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MeshEnv } from './carrier.ts';
import { mesh_limits } from './limits.ts';
import { createMemoryNetwork, type MemoryNetwork } from './memory-mesh.ts';
import type { MeshCore } from './mesh-core.ts';
import { peerOf } from './test-env.ts';

/** Timers in order of time, then of making; between them all promises settle. */
class VirtualTime {
  now_ms = 1000;
  #timers: { at: number; order: number; fn: () => void }[] = [];
  #order = 0;
  #seed = 1;

  readonly env: MeshEnv = {
    now_ms: () => this.now_ms,
    after: (delay_ms, fn) => {
      const timer = { at: this.now_ms + delay_ms, order: this.#order++, fn };
      this.#timers.push(timer);
      return () => {
        this.#timers = this.#timers.filter((one) => one !== timer);
      };
    },
    random: () => {
      this.#seed = (this.#seed * 48271) % 2147483647;
      return this.#seed / 2147483647;
    },
    log: () => undefined,
  };

  async run(duration_ms: number): Promise<void> {
    const end_ms = this.now_ms + duration_ms;
    for (;;) {
      // setImmediate comes after every promise reaction.
      await new Promise((resolve) => setImmediate(resolve));
      this.#timers.sort((a, b) => a.at - b.at || a.order - b.order);
      const next = this.#timers[0];
      if (next === undefined || next.at > end_ms) break;
      this.#timers.shift();
      this.now_ms = Math.max(this.now_ms, next.at);
      next.fn();
    }
    this.now_ms = end_ms;
  }

  /** Time goes on, nothing runs: the process, or the host, stood still. */
  freeze(duration_ms: number): void {
    this.now_ms += duration_ms;
  }
}

interface Pair {
  readonly time: VirtualTime;
  readonly network: MemoryNetwork;
  readonly a: MeshCore;
  readonly b: MeshCore;
  readonly events: string[];
}

async function makePair(): Promise<Pair> {
  const time = new VirtualTime();
  const network = createMemoryNetwork(time.env, () => 0.2);
  const a = network.createMesh({ peer_id: 'a', self_member: 1, generation: 1 });
  const b = network.createMesh({ peer_id: 'b', self_member: 2, generation: 1 });
  const events: string[] = [];
  const start_ms = time.now_ms;
  a.onPeer((_, up) => events.push(`a ${up} ${Math.round(time.now_ms - start_ms)}`));
  b.onPeer((_, up) => events.push(`b ${up} ${Math.round(time.now_ms - start_ms)}`));
  a.setPeers([peerOf(1, a), peerOf(2, b)]);
  b.setPeers([peerOf(1, a), peerOf(2, b)]);
  await time.run(1000);
  assert.ok(a.isUp(2) && b.isUp(1));
  assert.equal(network.connections('a', 'b'), 1);
  events.length = 0;
  return { time, network, a, b, events };
}

const at = (event: string | undefined) => Number(event?.split(' ')[2]);

describe('mesh in virtual time', () => {
  it('keeps an idle link up for an hour', async () => {
    const { time, events, a, b } = await makePair();
    await time.run(3_600_000);
    assert.deepEqual(events, []);
    assert.ok(a.isUp(2) && b.isUp(1));
  });

  for (const direction of ['both', 'a-to-b', 'b-to-a'] as const) {
    it(`notices a cut (${direction}) by silence, and comes back within seconds of the heal`, async () => {
      const { time, network, a, b, events } = await makePair();
      network.cut('a', 'b', direction);
      await time.run(60_000);
      assert.ok(!a.isUp(2) && !b.isUp(1));
      for (const side of ['a false', 'b false']) {
        const down = events.find((event) => event.startsWith(side));
        assert.ok(at(down) >= 5000 && at(down) <= 10_000, `${side}: ${events.join(', ')}`);
      }
      events.length = 0;
      const healed_ms = time.now_ms;
      network.heal('a', 'b');
      await time.run(6000);
      assert.ok(a.isUp(2) && b.isUp(1), events.join());
      assert.equal(network.connections('a', 'b'), 1);
      assert.ok(time.now_ms - healed_ms <= 6000);
    });
  }

  it('says what waits to be sent while a path is cut: never more than its bound', async () => {
    const { time, network, a } = await makePair();
    const frame = new Uint8Array(1024 * 1024);
    network.cut('a', 'b', 'a-to-b');
    for (let sent = 0; sent < 3; sent += 1) a.raft.send(2, frame);
    a.call(2, 'none', { text: 'x'.repeat(300_000) }, { timeout_ms: 60_000 }).catch(() => undefined);
    a.call(2, 'none', { text: 'x'.repeat(400_000) }, { timeout_ms: 60_000 }).catch(() => undefined);
    await time.run(100);
    // The first of each stream is on its way already.
    const [queued] = a.queuedBytes();
    assert.equal(queued?.member, 2);
    assert.ok(queued.raft >= 2 * frame.byteLength && queued.raft < 3 * frame.byteLength, `${queued.raft}`);
    assert.ok(queued.rpc >= 400_000 && queued.rpc < 700_000, `${queued.rpc}`);
    for (let sent = 0; sent < 20; sent += 1) a.raft.send(2, frame);
    assert.ok(a.queuedBytes()[0]!.raft <= mesh_limits.raft_queue_bytes);
    network.heal('a', 'b');
    await time.run(1000);
    assert.deepEqual(a.queuedBytes(), [{ member: 2, raft: 0, rpc: 0 }]);
  });

  it('delivers after a short cut what it held back, once that very pair is healed', async () => {
    const { time, network, a, b, events } = await makePair();
    b.handle('echo', (_from, params) => Promise.resolve(params));
    network.cut('a', 'b', 'both');
    let answer: unknown = null;
    a.call(2, 'echo', 'held', { timeout_ms: 10_000 }).then((value) => {
      answer = value;
    }, assert.fail);
    // Not long enough for a ping, which would push what waits before it.
    await time.run(300);
    network.heal('a', 'c');
    await time.run(300);
    assert.equal(answer, null);
    network.heal('a', 'b');
    await time.run(10);
    assert.equal(answer, 'held');
    assert.deepEqual(events, [], 'on the same connection');
  });

  it('does not blame the peer for its own pause', async () => {
    const { time, events, a } = await makePair();
    time.freeze(60_000);
    await time.run(30_000);
    assert.deepEqual(events, []);
    assert.ok(a.isUp(2));
  });

  it('notices a host whose power went, and takes its next life', async () => {
    const { time, network, a, b, events } = await makePair();
    network.kill('b', { silent: true });
    await b.close();
    await time.run(10_000);
    assert.ok(!a.isUp(2));
    assert.equal(events.filter((event) => event.startsWith('a false')).length, 1);
    await time.run(600_000);
    const next = network.createMesh({ peer_id: 'b', self_member: 2, generation: 2 });
    next.setPeers([peerOf(1, a)]);
    const start_ms = time.now_ms;
    // Its knock spares it the rest of a's back-off.
    while (!a.isUp(2) && time.now_ms - start_ms < 3000) await time.run(10);
    assert.ok(time.now_ms - start_ms < 600, `${time.now_ms - start_ms} ms`);
  });

  it('takes the next life of a host that was back before its silence was noticed', async () => {
    const { time, network, a, b, events } = await makePair();
    await time.run(10_000);
    network.kill('b', { silent: true });
    await b.close();
    await time.run(500);
    assert.ok(a.isUp(2), 'nothing has told it yet');
    const next = network.createMesh({ peer_id: 'b', self_member: 2, generation: 2 });
    next.setPeers([peerOf(1, a)]);
    await time.run(600);
    const ofA = () => events.filter((event) => event.startsWith('a ')).map((event) => event.slice(0, 6));
    assert.deepEqual(ofA(), ['a fals', 'a true']);
    assert.ok(next.isUp(1));
    await time.run(20_000);
    assert.deepEqual(ofA(), ['a fals', 'a true'], 'one knock, one link');
  });

  it('does not sit out an attempt that was made a moment before the host was back', async () => {
    const { time, network, a, b } = await makePair();
    network.kill('b', { silent: true });
    await b.close();
    await time.run(20_000);
    assert.ok(!a.isUp(2));
    // At any moment of an attempt, or of the pause before the next.
    for (let after_ms = 0; after_ms < 5_000; after_ms += 130) {
      await time.run(after_ms);
      const start_ms = time.now_ms;
      const next = network.createMesh({ peer_id: 'b', self_member: 2, generation: 2 });
      next.setPeers([peerOf(1, a)]);
      while (!a.isUp(2) && time.now_ms - start_ms < 5_000) await time.run(10);
      const took_ms = time.now_ms - start_ms;
      assert.ok(took_ms < 1_000, `${took_ms} ms, off for ${after_ms} ms more`);
      network.kill('b', { silent: true });
      await next.close();
      await time.run(20_000);
    }
  });

  it('dials where a member is now, when nothing but its address has changed', async () => {
    const time = new VirtualTime();
    const network = createMemoryNetwork(time.env, () => 0.2);
    const a = network.createMesh({ peer_id: 'a', self_member: 1, generation: 1 });
    const b = network.createMesh({ peer_id: 'b', self_member: 2, generation: 1 });
    const own = peerOf(1, a);
    b.setPeers([own, peerOf(2, b)]);
    a.setPeers([own, { ...peerOf(2, b), addresses: ['/memory/elsewhere'] }]);
    await time.run(5000);
    assert.ok(!a.isUp(2));
    a.setPeers([own, peerOf(2, b)]);
    await time.run(1000);
    assert.ok(a.isUp(2));
  });

  it('hears of a killed process at once', async () => {
    const { time, network, a, b } = await makePair();
    network.kill('b', { silent: false });
    await b.close();
    await time.run(1);
    assert.ok(!a.isUp(2));
  });

  it('never stops redialling, with delays that double to two seconds', async () => {
    const time = new VirtualTime();
    const network = createMemoryNetwork(time.env);
    const dials: number[] = [];
    const env = {
      ...time.env,
      log: (_level: string, message: string) => void (message === 'dial failed' && dials.push(time.now_ms)),
    };
    const a = network.createMesh({ peer_id: 'a', self_member: 1, generation: 1, env });
    a.setPeers([{ member: 2, peer_id: 'b', addresses: ['/memory/b'] }]);
    await time.run(3_600_000);
    const gaps = dials.slice(1).map((ms, index) => ms - dials[index]!);
    assert.ok(gaps[0]! < 70 && gaps[1]! > 70, String(gaps.slice(0, 8)));
    assert.ok(Math.max(...gaps) <= 2500 && Math.min(...gaps.slice(8)) >= 1500);
    assert.ok(dials.length > 1400);
  });

  it('drops the oldest raft messages when the peer does not read, and keeps the newest', async () => {
    const { time, network, a, b } = await makePair();
    const got: number[] = [];
    b.raft.onMessage((_, bytes) => got.push(bytes[0]!));
    network.cut('a', 'b', 'a-to-b');
    const frame = new Uint8Array(1024 * 1024);
    for (let n = 0; n < 20; n++) {
      frame[0] = n;
      a.raft.send(2, frame.slice());
      await time.run(1);
    }
    const busy = a.call(2, 'x', new Uint8Array(3 * 1024 * 1024), { timeout_ms: 9000 });
    const outcome = assert.rejects(busy, { code: 'no-method' });
    network.heal('a', 'b');
    await time.run(2000);
    await outcome;
    assert.equal(got.at(-1), 19);
    assert.ok(got.length < 20 && got.length >= 7, `${got}`);
    assert.deepEqual(
      got,
      [...got].sort((x, y) => x - y),
    );
  });

  it('fails calls with busy when the peer does not read', async () => {
    const { time, network, a } = await makePair();
    network.cut('a', 'b', 'a-to-b');
    const outcomes: string[] = [];
    for (let n = 0; n < 6; n++) {
      a.call(2, 'x', new Uint8Array(3 * 1024 * 1024), { timeout_ms: 500 }).catch((error: { code: string }) =>
        outcomes.push(error.code),
      );
      await time.run(1);
    }
    await time.run(1000);
    assert.ok(outcomes.includes('busy') && outcomes.includes('timeout'), String(outcomes));
  });
});
