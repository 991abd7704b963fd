/**
 * What every implementation of {@link Mesh} must do, as tests. A file per implementation calls
 * {@link testMeshCompliance} with a way to make meshes of it. Waits are for conditions, never for time.
 */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ByteStream, type Mesh, RpcError } from '../mesh-types.ts';
import type { FlowByteStream } from './byte-stream.ts';
import { mesh_limits } from './limits.ts';
import { connectAll, peerOf, until } from './test-env.ts';

export interface ComplianceWorld {
  /** A mesh that has heard of nobody; `member` is its number. */
  make(member: number): Promise<Mesh>;
  /** Everything made is closed. */
  end(): Promise<void>;
}

const rpcCode = (code: string) => (error: unknown) => {
  assert.ok(error instanceof RpcError, String(error));
  assert.equal(error.code, code, error.message);
  return true;
};

export function testMeshCompliance(name: string, makeWorld: () => ComplianceWorld): void {
  describe(`mesh compliance: ${name}`, () => {
    let world: ComplianceWorld = makeWorld();
    afterEach(async () => {
      await world.end();
      world = makeWorld();
    });
    const make = async (count: number): Promise<Mesh[]> => {
      const meshes: Mesh[] = [];
      for (let member = 1; member <= count; member++) meshes.push(await world.make(member));
      return meshes;
    };
    const pair = async (): Promise<[Mesh, Mesh]> => {
      const [a, b] = (await make(2)) as [Mesh, Mesh];
      await connectAll([a, b]);
      return [a, b];
    };

    it('carries raft messages in order both ways', async () => {
      const [a, b] = (await make(2)) as [Mesh, Mesh];
      const got: number[] = [];
      const back: number[] = [];
      b.raft.onMessage((from, bytes) => {
        assert.equal(from, 1);
        got.push(bytes[0]! * 256 + bytes[1]!);
        b.raft.send(1, bytes);
      });
      a.raft.onMessage((from, bytes) => {
        assert.equal(from, 2);
        back.push(bytes[0]! * 256 + bytes[1]!);
      });
      await connectAll([a, b]);
      const sent = Array.from({ length: 500 }, (_, n) => n);
      for (const n of sent) a.raft.send(2, Uint8Array.of(n >> 8, n & 255));
      await until('all came back', () => back.length === sent.length);
      assert.deepEqual(got, sent);
      assert.deepEqual(back, sent);
    });

    it('drops raft messages to whoever is not there, without throwing', async () => {
      const [a, b] = await pair();
      a.raft.send(77, new Uint8Array(8));
      a.raft.send(2, new Uint8Array(mesh_limits.max_frame_bytes + 1));
      let got = 0;
      b.raft.onMessage((_, bytes) => {
        assert.equal(bytes.byteLength, 3);
        got++;
      });
      a.raft.send(2, new Uint8Array(3));
      await until('the good one came', () => got === 1);
    });

    it('carries a raft frame of the largest size', async () => {
      const [a, b] = await pair();
      const big = new Uint8Array(mesh_limits.max_frame_bytes);
      for (let at = 0; at < big.byteLength; at += 4099) big[at] = at & 255;
      let got: Uint8Array | null = null;
      b.raft.onMessage((_, bytes) => {
        got = bytes;
      });
      a.raft.send(2, big);
      await until('it came', () => got !== null);
      assert.ok(Buffer.from(big).equals(got!));
    });

    it('loses nothing of bursts that exceed every buffer on the way', async () => {
      const [a, b] = await pair();
      let got = 0;
      b.raft.onMessage(() => {
        got++;
      });
      for (let burst = 1; burst <= 20; burst++) {
        for (let n = 0; n < 12; n++) a.raft.send(2, new Uint8Array(180_000 + 1_000 * burst));
        await until(`burst ${burst} came`, () => got === 12 * burst);
      }
    });

    it('reports up and down on both interfaces', async () => {
      const [a, b] = (await make(2)) as [Mesh, Mesh];
      const events: string[] = [];
      const off = a.onPeer((member, up) => events.push(`mesh ${member} ${up}`));
      a.raft.onPeer((member, up) => events.push(`raft ${member} ${up}`));
      await connectAll([a, b]);
      await b.close();
      await until('a saw it go', () => !a.isUp(2));
      assert.deepEqual(events.sort(), ['mesh 2 false', 'mesh 2 true', 'raft 2 false', 'raft 2 true']);
      off();
    });

    it('answers calls, with everything msgpack carries', async () => {
      const [a, b] = await pair();
      b.handle('echo', async (from, params) => ({ from, params }));
      const params = {
        text: 'ü',
        list: [1, 2.5, null, true],
        bytes: Uint8Array.of(1, 2),
        deep: { a: { b: [] } },
      };
      const answer = (await a.call(2, 'echo', params, { timeout_ms: 5000 })) as {
        from: number;
        params: typeof params;
      };
      assert.equal(answer.from, 1);
      assert.deepEqual({ ...answer.params, bytes: [...answer.params.bytes] }, { ...params, bytes: [1, 2] });
    });

    it('calls itself like any other', async () => {
      const [a] = await pair();
      const notes: unknown[] = [];
      a.handle('own', async (from, params, ctx) => {
        ctx.note('n');
        return [from, params];
      });
      const shared = { x: 1 };
      const answer = (await a.call(1, 'own', shared, {
        timeout_ms: 1000,
        onNote: (note) => notes.push(note),
      })) as [number, object];
      assert.deepEqual(answer, [1, { x: 1 }]);
      assert.notEqual(answer[1], shared);
      assert.deepEqual(notes, ['n']);
      await assert.rejects(a.call(1, 'none', null, { timeout_ms: 1000 }), rpcCode('no-method'));
    });

    it('delivers notes in order before the answer', async () => {
      const [a, b] = await pair();
      b.handle('count', async (_from, _params, ctx) => {
        for (let n = 0; n < 100; n++) ctx.note(n);
        return 'done';
      });
      const notes: unknown[] = [];
      const answer = await a.call(2, 'count', null, { timeout_ms: 5000, onNote: (note) => notes.push(note) });
      assert.equal(answer, 'done');
      assert.deepEqual(
        notes,
        Array.from({ length: 100 }, (_, n) => n),
      );
    });

    it('keeps the code, text and data of a handler error', async () => {
      const [a, b] = await pair();
      b.handle('coded', async () => {
        throw new RpcError('no-space', 'disk full', { free_mib: 3 });
      });
      b.handle('plain', () => {
        throw new TypeError('oops');
      });
      b.handle('nested', async () => {
        throw new RpcError('unreachable', 'member 9 is not connected');
      });
      const call = (method: string) => a.call(2, method, null, { timeout_ms: 5000 });
      await assert.rejects(call('coded'), (error: unknown) => {
        assert.ok(error instanceof RpcError);
        assert.deepEqual([error.code, error.message, error.data], ['no-space', 'disk full', { free_mib: 3 }]);
        return true;
      });
      await assert.rejects(call('plain'), rpcCode('internal'));
      // That call *was* sent; it must not look as if it had not been.
      await assert.rejects(call('nested'), rpcCode('remote-unreachable'));
      await assert.rejects(call('missing'), rpcCode('no-method'));
    });

    it('runs 100 calls at once, and a slow one holds up none', async () => {
      const [a, b] = await pair();
      let release: (value: string) => void = () => undefined;
      b.handle('slow', () => new Promise((resolve) => (release = resolve)));
      b.handle('double', async (_from, params) => (params as number) * 2);
      const slow = a.call(2, 'slow', null, { timeout_ms: 10_000 });
      const calls = Array.from({ length: 100 }, (_, n) => a.call(2, 'double', n, { timeout_ms: 10_000 }));
      assert.deepEqual(
        await Promise.all(calls),
        Array.from({ length: 100 }, (_, n) => n * 2),
      );
      release('at last');
      assert.equal(await slow, 'at last');
    });

    it('refuses a call over the limit in flight, and goes on when they end', async () => {
      const [a, b] = await pair();
      const waiting: (() => void)[] = [];
      b.handle('wait', () => new Promise((resolve) => waiting.push(() => resolve(null))));
      const calls = Array.from({ length: mesh_limits.max_calls }, () =>
        a.call(2, 'wait', null, { timeout_ms: 20_000 }),
      );
      await assert.rejects(a.call(2, 'wait', null, { timeout_ms: 1000 }), rpcCode('busy'));
      await until('all run', () => waiting.length === mesh_limits.max_calls);
      for (const release of waiting.splice(0)) release();
      await Promise.all(calls);
      const last = a.call(2, 'wait', null, { timeout_ms: 5000 });
      await until('it runs', () => waiting.length === 1);
      waiting[0]!();
      assert.equal(await last, null);
    });

    it('carries large parameters and answers, and refuses larger ones', async () => {
      const [a, b] = await pair();
      b.handle('size', async (_from, params) => new Uint8Array((params as Uint8Array).byteLength));
      b.handle('huge', async () => new Uint8Array(mesh_limits.max_frame_bytes));
      const size = mesh_limits.max_frame_bytes - 64;
      const answer = (await a.call(2, 'size', new Uint8Array(size), { timeout_ms: 10_000 })) as Uint8Array;
      assert.equal(answer.byteLength, size);
      await assert.rejects(
        a.call(2, 'size', new Uint8Array(size + 64), { timeout_ms: 5000 }),
        rpcCode('too-large'),
      );
      await assert.rejects(a.call(2, 'huge', null, { timeout_ms: 5000 }), rpcCode('too-large'));
      assert.ok(a.isUp(2));
    });

    it('times out, cancels on both sides, and tells the handler', async () => {
      const [a, b] = await pair();
      let told = 0;
      b.handle(
        'hang',
        (_from, _params, ctx) =>
          new Promise((_, reject) => {
            ctx.signal.addEventListener('abort', () => {
              told++;
              reject(new Error('stopped'));
            });
          }),
      );
      await assert.rejects(a.call(2, 'hang', null, { timeout_ms: 20 }), rpcCode('timeout'));
      await until('the handler was told', () => told === 1);
      const controller = new AbortController();
      const call = a.call(2, 'hang', null, { timeout_ms: 10_000, signal: controller.signal });
      controller.abort();
      await assert.rejects(call, rpcCode('canceled'));
      await until('the handler was told again', () => told === 2);
      await assert.rejects(
        a.call(2, 'hang', null, { timeout_ms: 9, signal: AbortSignal.abort() }),
        rpcCode('canceled'),
      );
      await assert.rejects(a.call(2, 'hang', null, { timeout_ms: 0 }), rpcCode('invalid'));
    });

    it('says broken for calls in flight and unreachable for later ones', async () => {
      const [a, b] = await pair();
      let running = false;
      let told = false;
      b.handle(
        'hang',
        (_from, _params, ctx) =>
          new Promise(() => {
            running = true;
            ctx.signal.addEventListener('abort', () => {
              told = true;
            });
          }),
      );
      const call = a.call(2, 'hang', null, { timeout_ms: 10_000 });
      const broken = assert.rejects(call, rpcCode('broken'));
      await until('it runs', () => running);
      await b.close();
      await broken;
      assert.ok(told);
      await assert.rejects(a.call(2, 'hang', null, { timeout_ms: 1000 }), rpcCode('unreachable'));
      await assert.rejects(a.call(42, 'hang', null, { timeout_ms: 1000 }), rpcCode('unreachable'));
    });

    it('closes the connection of a peer that is no longer a member', async () => {
      const meshes = (await make(3)) as [Mesh, Mesh, Mesh];
      const [a, b, c] = meshes;
      await connectAll(meshes);
      a.setPeers([peerOf(1, a), peerOf(2, b)]);
      await until('both see the end', () => !a.isUp(3) && !c.isUp(1));
      // c knows no better and tries again; it must not get in, and the others must not suffer.
      b.handle('hi', async () => 'hi');
      assert.equal(await a.call(2, 'hi', null, { timeout_ms: 5000 }), 'hi');
      await sleep(300);
      assert.ok(!a.isUp(3) && !c.isUp(1) && b.isUp(1) && b.isUp(3));
      a.setPeers([peerOf(1, a), peerOf(2, b), peerOf(3, c)]);
      await until('let in again', () => a.isUp(3) && c.isUp(1));
    });

    it('does not let a stranger in', async () => {
      const meshes = (await make(3)) as [Mesh, Mesh, Mesh];
      const [a, b, c] = meshes;
      await connectAll([a, b]);
      c.setPeers([peerOf(1, a), peerOf(2, b)]);
      await sleep(300);
      assert.ok(!c.isUp(1) && !c.isUp(2));
      await assert.rejects(c.call(1, 'x', null, { timeout_ms: 100 }), rpcCode('unreachable'));
      assert.ok(a.isUp(2) && b.isUp(1));
    });

    it('carries byte streams, in order and with their hello', async () => {
      const [a, b] = await pair();
      b.handleStream('console', (from, hello, stream) => {
        assert.deepEqual([from, hello], [1, { instance: 'web' }]);
        stream.write(Buffer.from('welcome '));
        stream.onData((bytes) => stream.write(bytes));
      });
      const stream = await a.openStream(2, 'console', { instance: 'web' }, 5000);
      let got = '';
      stream.onData((bytes) => (got += Buffer.from(bytes).toString()));
      for (let n = 0; n < 50; n++) stream.write(Buffer.from(`${n},`));
      const expected = `welcome ${Array.from({ length: 50 }, (_, n) => `${n},`).join('')}`;
      await until('all came back', () => got.length === expected.length);
      assert.equal(got, expected);
      stream.close();
    });

    it('ends byte streams on both sides, by close and with the connection', async () => {
      const [a, b] = await pair();
      const served: ByteStream[] = [];
      let ended = 0;
      b.handleStream('s', (_from, _hello, stream) => {
        served.push(stream);
        stream.onClose(() => ended++);
      });
      const first = await a.openStream(2, 's', null, 5000);
      await until('served', () => served.length === 1);
      first.close();
      await until('the server saw the close', () => ended === 1);
      const second = await a.openStream(2, 's', null, 5000);
      let second_ended = false;
      second.onClose(() => {
        second_ended = true;
      });
      served[1]!.close();
      await until('the opener saw the close', () => second_ended);
      const third = await a.openStream(2, 's', null, 5000);
      let third_ended = false;
      third.onClose(() => {
        third_ended = true;
      });
      await b.close();
      await until('the connection took it along', () => third_ended && ended === 3);
      await assert.rejects(a.openStream(2, 's', null, 1000), rpcCode('unreachable'));
    });

    it('refuses a stream nobody serves', async () => {
      const [a] = await pair();
      await assert.rejects(a.openStream(2, 'nothing', null, 5000), rpcCode('no-method'));
      await assert.rejects(a.openStream(2, 'nothing', new Uint8Array(100_000), 5000), rpcCode('too-large'));
    });

    it('holds a byte stream back when its reader pauses', async () => {
      const [a, b] = await pair();
      let reader: FlowByteStream | null = null;
      let got = 0;
      b.handleStream('bulk', (_from, _hello, stream) => {
        reader = stream as FlowByteStream;
        reader.onData((bytes) => (got += bytes.byteLength));
        reader.pause();
      });
      const writer = (await a.openStream(2, 'bulk', null, 5000)) as FlowByteStream;
      await until('served', () => reader !== null);
      const chunk = new Uint8Array(32 * 1024);
      let sent = 0;
      let drained = 0;
      writer.onDrain(() => drained++);
      // Not within one turn: the queue must be seen to stay full.
      for (let held = false; !held; await sleep(1)) {
        held = !writer.write(chunk);
        sent += chunk.byteLength;
        assert.ok(sent < mesh_limits.byte_stream_queue_bytes, 'the writer was never held back');
      }
      assert.equal(drained, 0);
      reader!.resume();
      await until('all arrived', () => got === sent && drained === 1);
      reader!.pause();
      let closed = false;
      writer.onClose(() => {
        closed = true;
      });
      for (let n = 0; n < 400 && !closed; n++) writer.write(chunk);
      assert.ok(closed, 'a writer that does not wait must lose the stream');
    });

    it('joins while open, and refuses when not', async () => {
      const [a, b] = (await make(2)) as [Mesh, Mesh];
      let open = true;
      const seen: unknown[] = [];
      a.serveJoin(
        () => open,
        async (peer_id, request) => {
          seen.push([peer_id, request]);
          if ((request as { secret: string }).secret !== 's3cret')
            throw new RpcError('refused', 'unknown token', { id: 't1' });
          return { member: 2 };
        },
      );
      const join = (secret: string) => b.requestJoin(a.addresses, a.peer_id, { secret }, 5000);
      assert.deepEqual(await join('s3cret'), { member: 2 });
      await assert.rejects(join('wrong'), (error: unknown) => {
        assert.ok(error instanceof RpcError);
        assert.deepEqual([error.code, error.message, error.data], ['refused', 'unknown token', { id: 't1' }]);
        return true;
      });
      assert.deepEqual(seen, [
        [b.peer_id, { secret: 's3cret' }],
        [b.peer_id, { secret: 'wrong' }],
      ]);
      open = false;
      await assert.rejects(join('s3cret'), rpcCode('refused'));
      assert.equal(seen.length, 2);
      // Made a member, and asking again because the answer was lost: still answered.
      open = true;
      a.setPeers([peerOf(1, a), peerOf(2, b)]);
      assert.deepEqual(await join('s3cret'), { member: 2 });
      b.setPeers([peerOf(1, a), peerOf(2, b)]);
      await until('they are connected', () => a.isUp(2) && b.isUp(1));
    });

    it('answers a joiner that gets another number by asking, and lets it in under that', async () => {
      const [a, b] = await pair();
      a.serveJoin(
        () => true,
        async () => {
          a.setPeers([peerOf(1, a), { ...peerOf(2, b), member: 3 }]);
          return { member: 3 };
        },
      );
      assert.deepEqual(await b.requestJoin(a.addresses, a.peer_id, {}, 5000), { member: 3 });
      assert.ok(!a.isUp(2), 'what stood for the former number has ended');
      b.setPeers([peerOf(1, a), { ...peerOf(2, b), member: 3 }]);
      await until('they are connected', () => a.isUp(3) && b.isUp(1));
    });

    it('gives a joiner nothing but the join protocol', async () => {
      const [a, b] = (await make(2)) as [Mesh, Mesh];
      a.serveJoin(
        () => true,
        async () => 'ok',
      );
      let called = false;
      a.handle('secret', async () => {
        called = true;
      });
      a.raft.onMessage(() => assert.fail('raft message from a stranger'));
      b.setPeers([peerOf(1, a)]);
      await sleep(300);
      assert.ok(!b.isUp(1) && !a.isUp(2));
      await assert.rejects(b.call(1, 'secret', null, { timeout_ms: 200 }), rpcCode('unreachable'));
      assert.equal(called, false);
    });

    it('notices the wrong peer at the address when joining', async () => {
      const [a, b, c] = (await make(3)) as [Mesh, Mesh, Mesh];
      a.serveJoin(
        () => true,
        async () => 'ok',
      );
      await assert.rejects(b.requestJoin(a.addresses, c.peer_id, 1, 3000), rpcCode('wrong-peer'));
      await assert.rejects(b.requestJoin([], a.peer_id, 1, 3000), rpcCode('invalid'));
      // The next address is tried.
      assert.equal(await b.requestJoin([...c.addresses, ...a.addresses], a.peer_id, 1, 5000), 'ok');
    });

    it('bounds join requests: size, number at a time, number a minute', async () => {
      const [a, b] = (await make(2)) as [Mesh, Mesh];
      const waiting: (() => void)[] = [];
      a.serveJoin(
        () => true,
        () => new Promise((resolve) => waiting.push(() => resolve('ok'))),
      );
      const join = (request: unknown) => b.requestJoin(a.addresses, a.peer_id, request, 8000);
      await assert.rejects(join(new Uint8Array(70_000)), rpcCode('too-large'));
      const running = Array.from({ length: mesh_limits.join_max_active }, () => join(1));
      await until('four run', () => waiting.length === mesh_limits.join_max_active);
      await assert.rejects(join(1), rpcCode('busy'));
      for (const release of waiting.splice(0)) release();
      assert.deepEqual(await Promise.all(running), ['ok', 'ok', 'ok', 'ok']);
      let refusal: RpcError | null = null;
      for (
        let attempt = mesh_limits.join_max_active + 1;
        attempt <= mesh_limits.join_attempts && refusal === null;
        attempt++
      ) {
        const call = join(1).catch((error: RpcError) => (refusal = error));
        await until('it runs or is refused', () => waiting.length > 0 || refusal !== null);
        waiting.shift()?.();
        await call;
      }
      refusal = null;
      await join(1).catch((error: RpcError) => (refusal = error));
      assert.match(String(refusal), /attempts in a minute/);
    });

    it('rejects a bad list of peers and keeps the old one', async () => {
      const [a, b] = await pair();
      const good = peerOf(2, b);
      assert.throws(() => a.setPeers([good, good]), /listed twice/);
      assert.throws(() => a.setPeers([{ ...good, member: 0 }]), /positive integer/);
      assert.throws(() => a.setPeers([{ ...good, peer_id: '' }]), /no peer id/);
      assert.ok(a.isUp(2));
    });
  });
}
