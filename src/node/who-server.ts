/**
 * A read-only word about this node over HTTP, on every address of the host, the master's included: who answers here,
 * and does it lead. For health checks and for people with curl; it needs no quorum, changes nothing, and is bounded.
 */
import { createServer, type Server } from 'node:http';

export interface WhoAnswer {
  readonly name: string;
  readonly cluster: string;
  readonly role: string;
  readonly term: number;
  readonly leader: string;
  /** This node leads and may act as master. */
  readonly master: boolean;
}

export interface WhoServer {
  readonly port: number;
  close(): Promise<void>;
}

const max_connections = 256;
const request_timeout_ms = 5_000;

/** Listens on all addresses; resolves when it does. Port 0 picks one. */
export function startWhoServer(port: number, host: string, answer: () => WhoAnswer): Promise<WhoServer> {
  const server: Server = createServer(
    { requestTimeout: request_timeout_ms, headersTimeout: request_timeout_ms },
    (request, response) => {
      if (request.method !== 'GET' || request.url !== '/') {
        response.writeHead(request.method === 'GET' ? 404 : 405).end();
        return;
      }
      const body = `${JSON.stringify(answer())}\n`;
      response.writeHead(200, { 'content-type': 'application/json', connection: 'close' }).end(body);
    },
  );
  server.maxConnections = max_connections;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      const address = server.address();
      resolve({
        port: typeof address === 'object' && address ? address.port : port,
        close: () =>
          new Promise((done) => {
            server.close(() => done());
            server.closeAllConnections();
          }),
      });
    });
  });
}
