/**
 * In place of bin/skeind in the lab's tests: a parent with a child ("guest"), and an API socket that answers `status`.
 * Ends, like the real one, only when it is told to.
 */
import { spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    data: { type: 'string', default: '' },
    run: { type: 'string', default: '' },
    log: { type: 'string', default: '' },
    listen: { type: 'string', default: '' },
    name: { type: 'string', default: '' },
  },
});

const boot_id = readFileSync(process.env.SKEIN_BOOT_ID_FILE ?? '', 'utf8').trim();
const guest = spawn('sleep', ['1000'], { stdio: 'ignore', detached: true });
const api = createServer((socket) => {
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk) => {
    const { id } = JSON.parse(chunk.toString('utf8')) as { id: number };
    const result = {
      name: values.name,
      pid: process.pid,
      guest: guest.pid,
      in_cluster: false,
      listen: values.listen,
      boot_id,
    };
    socket.write(`${JSON.stringify({ id, result })}\n`);
  });
});
// One that was killed left its socket.
rmSync(join(values.run, 'api.sock'), { force: true });
api.listen(join(values.run, 'api.sock'));

// A second listener, on the address of the mesh, for tests of the network.
const [, , host = '', , port = ''] = values.listen.split('/');
createServer((socket) => {
  socket.on('error', () => socket.destroy());
  socket.end(`${values.name}\n`);
}).listen(Number(port), host);
