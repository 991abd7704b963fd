/**
 * A client that wants to know who answers at an address: a fresh TCP connection every 10 ms, each on its own. Runs as a
 * process of its own, inside the client's namespace. Prints `sent_ms answered_ms name` for every answer.
 *
 *   node bench/probe-client.ts ADDRESS PORT
 */
import { connect } from 'node:net';
import process from 'node:process';
import { nowMs } from './clock.ts';

const every_ms = 10;
/** Bounds the number of connections that wait at a time. */
const patience_ms = 1_000;

const [address = '', port = ''] = process.argv.slice(2);

function ask(): void {
  const sent_ms = nowMs();
  let text = '';
  const socket = connect({ host: address, port: Number(port) });
  const timer = setTimeout(() => socket.destroy(), patience_ms);
  socket.on('connect', () => socket.write(`GET / HTTP/1.1\r\nHost: ${address}\r\nConnection: close\r\n\r\n`));
  socket.on('data', (bytes) => {
    text += bytes.toString('latin1');
    const name = /"name":"([^"]*)"/.exec(text)?.[1];
    if (name === undefined) return;
    process.stdout.write(`${sent_ms} ${nowMs()} ${name}\n`);
    socket.destroy();
  });
  // That nobody answers is what this client is there to find out; the next question is on its way.
  socket.on('error', () => socket.destroy());
  socket.on('close', () => clearTimeout(timer));
}

setInterval(ask, every_ms);
// A benchmark that is gone reads no more.
process.stdout.on('error', () => process.exit(0));
