/**
 * Says over HTTP who it is, like Skein's own status page: what stands behind keepalived's address.
 *
 *   node bench/who-responder.ts PORT NAME
 */
import { createServer } from 'node:http';
import process from 'node:process';

const [port = '', name = ''] = process.argv.slice(2);

createServer((_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json', connection: 'close' });
  response.end(`${JSON.stringify({ name })}\n`);
}).listen(Number(port), '0.0.0.0');
