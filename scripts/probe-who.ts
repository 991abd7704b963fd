/**
 * Asks an address who answers there, over a fresh connection each time, and prints each answer as a JSON line:
 * `{at, name}` (wall clock, ms). Runs in the lab's client namespace. `node probe-who.ts ADDRESS PORT EVERY_MS`.
 */
import { connect } from 'node:net';

const [address = '', port = '1821', every = '10'] = process.argv.slice(2);
const answer_timeout_ms = 900;

function ask(): void {
  const at = Date.now();
  const socket = connect({ host: address, port: Number(port) });
  let text = '';
  socket.setTimeout(answer_timeout_ms, () => socket.destroy());
  socket.on('error', () => socket.destroy());
  socket.on('connect', () => socket.write('GET / HTTP/1.1\r\nHost: master\r\nConnection: close\r\n\r\n'));
  socket.on('data', (bytes) => {
    text += bytes.toString('utf8');
  });
  socket.on('close', () => {
    const body = text.slice(text.indexOf('\r\n\r\n') + 4);
    const name = /"name":"([^"]+)"/.exec(body)?.[1];
    if (name) process.stdout.write(`${JSON.stringify({ at, answered: Date.now(), name })}\n`);
  });
}

setInterval(ask, Number(every));
process.stdout.on('error', () => process.exit(0));
process.stdin.on('end', () => process.exit(0)).resume();
