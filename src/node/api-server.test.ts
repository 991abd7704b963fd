import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ApiFailure, type ApiHandler, startApiServer } from './api-server.ts';
import type { FlowStream } from './flow.ts';

const env = { log: () => undefined };

interface Client {
  readonly socket: Socket;
  readonly lines: Record<string, unknown>[];
  /** Bytes after the lines were no JSON any more. */
  readonly text: () => string;
  send(value: unknown): void;
  closed: boolean;
}

async function until(what: string, check: () => boolean): Promise<void> {
  const end_ms = performance.now() + 10_000;
  while (!check()) {
    assert.ok(performance.now() < end_ms, `waited 10 s for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

async function serve(t: TestContext, methods: Record<string, ApiHandler>): Promise<() => Promise<Client>> {
  const dir = await mkdtemp(join(tmpdir(), 'skein-api-'));
  const path = join(dir, 'run', 'api.sock');
  const server = await startApiServer(path, new Map(Object.entries(methods)), env);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  const sockets: Socket[] = [];
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    await server.close();
    await rm(dir, { recursive: true, force: true });
  });
  return async () => {
    const socket = connect(path);
    sockets.push(socket);
    let text = '';
    const client: Client = {
      socket,
      lines: [],
      text: () => text,
      send: (value) => socket.write(typeof value === 'string' ? value : `${JSON.stringify(value)}\n`),
      closed: false,
    };
    socket.on('data', (bytes) => {
      text += bytes.toString();
      client.lines.length = 0;
      for (const line of text.split('\n').slice(0, -1))
        if (line.startsWith('{')) client.lines.push(JSON.parse(line));
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      client.closed = true;
    });
    await new Promise<void>((resolve) => socket.once('connect', resolve));
    return client;
  };
}

const echo: ApiHandler = async (params) => params;

test('lines cut anywhere, even within a character, several at once, empty ones', async (t) => {
  const client = await (await serve(t, { echo }))();
  const bytes = Buffer.from(
    `{"id":1,"method":"echo","params":{"name":"Zürich"}}\n\n{"id":2,"method":"echo"}\n`,
  );
  for (const byte of bytes) client.socket.write(Buffer.from([byte]));
  await until('two answers', () => client.lines.length === 2);
  assert.deepEqual(client.lines, [
    { id: 1, result: { name: 'Zürich' } },
    { id: 2, result: {} },
  ]);
});

test('garbage costs its connection, no other; each kind is named', async (t) => {
  const open = await serve(t, { echo });
  const other = await open();
  const cases: readonly (readonly [string, RegExp])[] = [
    ['no json\n', /not a request/],
    ['[1]\n', /a request is an object/],
    ['{"method":"echo"}\n', /has an id/],
    ['{"id":1}\n', /has a method/],
    ['{"id":1,"method":"echo","params":[]}\n', /params is an object/],
    ['x'.repeat(1024 * 1024 + 10), /1048576 bytes at most/],
  ];
  for (const [line, message] of cases) {
    const client = await open();
    client.send(line);
    client.send('{"id":9,"method":"echo"}\n');
    await until('it is closed', () => client.closed);
    assert.equal(client.lines.length, 1, 'nothing after it is served');
    assert.match((client.lines[0]!['error'] as { message: string }).message, message);
  }
  other.send({ id: 1, method: 'echo', params: {} });
  await until('an answer', () => other.lines.length === 1);
});

test('calls run side by side; ids in use, unknown methods and too many calls are refused', async (t) => {
  const gate = Promise.withResolvers<void>();
  const client = await (await serve(t, { echo, wait: () => gate.promise }))();
  for (let id = 1; id <= 64; id++) client.send({ id, method: 'wait' });
  client.send({ id: 1, method: 'echo' });
  client.send({ id: 65, method: 'echo' });
  client.send({ id: 66, method: 'toString' });
  await until('three refusals', () => client.lines.length === 3);
  const messages = client.lines.map((line) => (line['error'] as { message: string }).message);
  assert.deepEqual(messages, ['id 1 is in use', 'more than 64 calls at a time', 'unknown method "toString"']);
  gate.resolve();
  await until('all answered', () => client.lines.length === 67);
  client.send({ id: 1, method: 'echo' });
  await until('an id may be used again', () => client.lines.length === 68);
});

test('errors keep their code and what to try; what is thrown and no error is internal', async (t) => {
  const client = await (
    await serve(t, {
      refused: () => Promise.reject(new ApiFailure('refused', 'no', 'skein status')),
      quorum: () => Promise.reject(Object.assign(new Error('none'), { code: 'no-quorum' })),
      odd: () => Promise.reject(undefined),
    })
  )();
  for (const method of ['refused', 'quorum', 'odd']) client.send({ id: method, method });
  await until('three errors', () => client.lines.length === 3);
  assert.deepEqual(
    client.lines.map((line) => (line['error'] as { code: string; next: string }).code),
    ['refused', 'no-quorum', 'internal'],
  );
});

test('a client that goes away aborts its calls; one that does not read is dropped', async (t) => {
  let aborted = 0;
  let send: (event: unknown) => void = () => undefined;
  const open = await serve(t, {
    watch: (_params, ctx) =>
      new Promise((resolve) => {
        send = ctx.event;
        ctx.signal.addEventListener('abort', () => {
          aborted += 1;
          resolve(null);
        });
      }),
  });
  const gone = await open();
  gone.send({ id: 1, method: 'watch' });
  gone.send({ id: 2, method: 'watch' });
  await until('it watches', () => gone.socket.bytesWritten > 0);
  await new Promise((resolve) => setImmediate(resolve));
  gone.socket.destroySoon();
  const deaf = await open();
  deaf.socket.pause();
  deaf.send({ id: 1, method: 'watch' });
  await until('aborted', () => aborted === 2);
  const before = send;
  const big = 'x'.repeat(1024 * 1024);
  await until('dropped', () => {
    before(big);
    send(big);
    return aborted === 3;
  });
});

/** A stream in memory that says what it was told. */
function memoryStream() {
  const rig = {
    written: '',
    closed: false,
    paused: false,
    more: true,
    say: (_bytes: Uint8Array): void => undefined,
    drain: (): void => undefined,
    end: (): void => undefined,
  };
  const stream: FlowStream = {
    write(bytes): boolean {
      rig.written += Buffer.from(bytes).toString();
      return rig.more;
    },
    onData: (handler) => {
      rig.say = handler;
    },
    onClose: (handler) => {
      rig.end = handler;
    },
    onDrain: (handler) => {
      rig.drain = handler;
    },
    pause: () => {
      rig.paused = true;
    },
    resume: () => {
      rig.paused = false;
    },
    close: () => {
      rig.closed = true;
    },
  };
  return { rig, stream };
}

test('after an upgrade the bytes are the stream’s, both ways, with what came early; its end is the client’s', async (t) => {
  const { rig, stream } = memoryStream();
  const client = await (
    await serve(t, {
      attach: async (_params, ctx) => {
        ctx.upgrade(stream);
        return 'here';
      },
    })
  )();
  client.send('{"id":1,"method":"attach"}\nearly ');
  await until('attached', () => rig.written === 'early ');
  client.send('later');
  await until('written', () => rig.written === 'early later');
  rig.say(Buffer.from('COUNT 1'));
  await until('seen', () => client.text().endsWith('COUNT 1'));
  rig.say(Buffer.from(' the last'));
  rig.end();
  await until('closed', () => client.closed);
  assert.ok(client.text().endsWith('COUNT 1 the last'));
});

test('a client that does not read holds its stream back; a stream that does not take, its client', async (t) => {
  const { rig, stream } = memoryStream();
  const client = await (
    await serve(t, {
      attach: async (_params, ctx) => {
        ctx.upgrade(stream);
        return null;
      },
    })
  )();
  client.send({ id: 1, method: 'attach' });
  await until('attached', () => client.lines.length === 1);
  client.socket.pause();
  const chunk = Buffer.alloc(64 * 1024);
  await until('held back', () => {
    if (!rig.paused) rig.say(chunk);
    return rig.paused;
  });
  client.socket.resume();
  await until('goes on', () => !rig.paused);
  rig.more = false;
  client.send('a');
  await until('taken', () => rig.written === 'a');
  client.send('b'.repeat(8 * 1024 * 1024));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(rig.written, 'a', 'nothing is taken until the stream has drained');
  rig.more = true;
  rig.drain();
  await until('all of it', () => rig.written.length > 8 * 1024 * 1024);
});

test('a stream whose client has gone, or whose call failed, is closed', async (t) => {
  const gone = memoryStream();
  const failed = memoryStream();
  const gate = Promise.withResolvers<void>();
  const open = await serve(t, {
    slow: async (_params, ctx) => {
      const aborted = new Promise((resolve) => ctx.signal.addEventListener('abort', resolve));
      gate.resolve();
      await aborted;
      ctx.upgrade(gone.stream);
    },
    fails: async (_params, ctx) => {
      ctx.upgrade(failed.stream);
      throw new Error('after all');
    },
  });
  const client = await open();
  client.send({ id: 1, method: 'fails' });
  await until('failed', () => failed.rig.closed);
  client.send({ id: 2, method: 'slow' });
  await gate.promise;
  client.socket.destroy();
  await until('closed', () => gone.rig.closed);
});

test('a path too long for a socket is refused by name', async () => {
  await assert.rejects(
    startApiServer(`/tmp/${'x'.repeat(120)}`, new Map(), env),
    /125 bytes long, 107 are possible/,
  );
});
