import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import type { DriverError } from '../../types.ts';
import { connectQmp } from './qmp.ts';

type Behaviour = (request: { execute: string; id: number; arguments?: unknown }, socket: Socket) => void;

const greeting = '{"QMP":{"version":{"qemu":{"major":7}},"capabilities":[]}}\r\n';
const reply = (socket: Socket, value: unknown): void => void socket.write(`${JSON.stringify(value)}\r\n`);
const ok: Behaviour = ({ id }, socket) => reply(socket, { return: {}, id });

/** A QMP server that greets and then does as it is told. */
async function fakeQemu(t: TestContext, behaviour: Behaviour, first = greeting): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'qmp-'));
  const path = join(dir, 'qmp.sock');
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.write(first);
    let buffer = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      buffer += chunk;
      const lines = buffer.split('\n');
      buffer = lines.pop() ?? '';
      for (const line of lines) behaviour(JSON.parse(line), socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
    await rm(dir, { recursive: true });
  });
  return path;
}

test('negotiates, matches answers to commands whatever their order, and passes events on', async (t) => {
  const held: number[] = [];
  const path = await fakeQemu(t, (request, socket) => {
    if (request.execute === 'first') return void held.push(request.id);
    if (request.execute === 'second') {
      reply(socket, { event: 'STOP', data: { why: 'test' }, timestamp: {} });
      reply(socket, { return: request.arguments, id: request.id });
      return reply(socket, { return: 1, id: held[0] });
    }
    return ok(request, socket);
  });
  const client = await connectQmp(path, { timeout_ms: 2_000 });
  assert.ok('version' in client.greeting);
  const event = client.waitEvent('STOP', 2_000);
  const [one, two] = await Promise.all([client.execute('first'), client.execute('second', { a: 'b' })]);
  assert.equal(one, 1);
  assert.deepEqual(two, { a: 'b' });
  assert.deepEqual(await event, { event: 'STOP', data: { why: 'test' } });
  client.close();
  await assert.rejects(client.execute('third'), /closed by us/);
});

test('a refusal carries class and description', async (t) => {
  const path = await fakeQemu(t, (request, socket) => {
    if (request.execute === 'qmp_capabilities') return ok(request, socket);
    reply(socket, { error: { class: 'CommandNotFound', desc: 'no such thing' }, id: request.id });
  });
  const client = await connectQmp(path, { timeout_ms: 2_000 });
  await assert.rejects(
    client.execute('dance'),
    (error: DriverError) =>
      error.code === 'failed' && /dance was refused: CommandNotFound: no such thing/.test(error.message),
  );
  client.close();
});

test('each command has its own timeout, and its late answer harms nobody', async (t) => {
  let late = 0;
  const path = await fakeQemu(t, (request, socket) => {
    if (request.execute === 'slow') {
      late = request.id;
      return;
    }
    if (late !== 0) reply(socket, { return: 'too late', id: late });
    ok(request, socket);
  });
  const client = await connectQmp(path, { timeout_ms: 2_000 });
  await assert.rejects(
    client.execute('slow', undefined, 50),
    (error: DriverError) => error.code === 'timeout',
  );
  assert.deepEqual(await client.execute('next'), {});
  client.close();
});

for (const [what, text] of [
  ['garbage', 'hello there\n'],
  ['a list', '[1,2]\n'],
] as const) {
  test(`${what} from the peer breaks the connection and every open command`, async (t) => {
    const path = await fakeQemu(t, (request, socket) => {
      if (request.execute === 'qmp_capabilities') return ok(request, socket);
      socket.write(text);
    });
    const client = await connectQmp(path, { timeout_ms: 2_000 });
    const commands = [client.execute('a'), client.execute('b')];
    for (const command of commands)
      await assert.rejects(command, (error: DriverError) => error.code === 'failed');
    assert.match(await client.closed, /not JSON|expected an object/);
  });
}

test('a peer that hangs up fails open commands and waits for events', async (t) => {
  const path = await fakeQemu(t, (request, socket) => {
    if (request.execute === 'qmp_capabilities') return ok(request, socket);
    socket.destroy();
  });
  const client = await connectQmp(path, { timeout_ms: 2_000 });
  const event = assert.rejects(client.waitEvent('SHUTDOWN', 5_000), /connection closed/);
  await assert.rejects(client.execute('quit-like'), /connection closed/);
  await event;
});

test('no greeting, no negotiation, no socket: an error in time', async (t) => {
  const silent = await fakeQemu(t, ok, '');
  await assert.rejects(
    connectQmp(silent, { timeout_ms: 50 }),
    (error: DriverError) => error.code === 'timeout' && /no QMP greeting/.test(error.message),
  );
  const mute = await fakeQemu(t, () => undefined);
  await assert.rejects(connectQmp(mute, { timeout_ms: 100 }), /qmp_capabilities .* was not answered/);
  await assert.rejects(connectQmp('/nowhere/qmp.sock', { timeout_ms: 100 }), /ENOENT/);
});
