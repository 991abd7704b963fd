import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ApiCallError, connectApi } from './api-client.ts';

interface Line {
  readonly id: number;
  readonly method: string;
}

/** Runs `act` against a server that answers each request line with `serve`. */
async function withServer(
  serve: (line: Line, socket: Socket) => void,
  act: (path: string) => Promise<void>,
): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'skein-api-'));
  const path = join(dir, 'api.sock');
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      for (const text of chunk.toString('utf8').split('\n'))
        if (text.startsWith('{')) serve(JSON.parse(text) as Line, socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  try {
    await act(path);
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
    rmSync(dir, { recursive: true, force: true });
  }
}

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof ApiCallError && error.code === code;
}

test('answers, errors and events, in any order and in any pieces', async () => {
  await withServer(
    ({ id, method }, socket) => {
      if (method === 'status') {
        const text = `${JSON.stringify({ id, event: { at: 'é' } })}\n${JSON.stringify({ id, result: { name: 'é€' } })}\n`;
        // Byte by byte: characters and lines are cut everywhere.
        for (const byte of Buffer.from(text)) socket.write(Buffer.from([byte]));
      } else
        socket.write(`${JSON.stringify({ id, error: { code: 'refused', message: 'no', next: 'ask' } })}\n`);
    },
    async (path) => {
      const client = await connectApi(path);
      const events: unknown[] = [];
      const both = [
        client.call('agent.stop', {}),
        client.call('status', {}, { onEvent: (event) => events.push(event) }),
      ] as const;
      await assert.rejects(
        both[0],
        (error) => error instanceof ApiCallError && error.code === 'refused' && error.next === 'ask',
      );
      assert.equal((await both[1]).name, 'é€');
      assert.deepEqual(events, [{ at: 'é' }]);
      client.close();
      await assert.rejects(client.call('status', {}), hasCode('unavailable'));
    },
  );
});

test('a connection that breaks, garbage, and silence', async () => {
  await withServer(
    ({ method }, socket) => {
      if (method === 'status') socket.destroy();
      if (method === 'agent.stop') socket.write('garbage\n');
    },
    async (path) => {
      await assert.rejects((await connectApi(path)).call('status', {}), hasCode('unknown-outcome'));
      await assert.rejects((await connectApi(path)).call('agent.stop', {}), hasCode('unknown-outcome'));
      const client = await connectApi(path);
      await assert.rejects(client.call('raft.transfer', {}, { timeout_ms: 20 }), hasCode('timeout'));
      client.close();
    },
  );
  await assert.rejects(connectApi('/nonexistent/api.sock'), hasCode('unavailable'));
});

test('a console: bytes that come with the answer and after it are the stream, unchanged', async () => {
  const bytes = Buffer.from([0xff, 0x0a, 0x00, 0xfe, 0x0a, 0x0a, 0x41]);
  await withServer(
    ({ id }, socket) =>
      socket.write(
        Buffer.concat([
          Buffer.from(`${JSON.stringify({ id, result: { node: 'n1', kind: 'unix', message: '' } })}\n`),
          bytes,
        ]),
      ),
    async (path) => {
      const client = await connectApi(path);
      const { stream } = await client.attachConsole('web1', 1_000);
      const got: Uint8Array[] = [];
      const all = Promise.withResolvers<void>();
      stream.onData((chunk) => {
        got.push(chunk);
        if (Buffer.concat(got).length >= bytes.length) all.resolve();
      });
      await all.promise;
      assert.deepEqual(Buffer.concat(got), bytes);
      await assert.rejects(client.call('status', {}), hasCode('unavailable'));
      const closed = Promise.withResolvers<void>();
      stream.onClose(() => closed.resolve());
      client.close();
      await closed.promise;
    },
  );
});
