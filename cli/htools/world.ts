/** The world as it is, for an htool: files, the terminal, and the remote API over HTTP or HTTPS. */
import { readFileSync, writeFileSync } from 'node:fs';
import type { World } from './program.ts';

const connect_timeout_ms = 15_000;
const answer_timeout_ms = 60_000;

export const real_world: World = {
  out: (text) => {
    process.stdout.write(text);
  },
  err: (text) => {
    process.stderr.write(text);
  },
  // `-`: the standard input.
  readFile: (path) => readFileSync(path === '-' ? 0 : path, 'utf8'),
  writeFile: (path, text) => writeFileSync(path, text),
  get,
  // Loaded when it is needed: most runs ask no agent.
  openAgent: async (socket) => (await import('../htools-agent.ts')).openAgent(socket),
  onSignal: (signal, handler) => {
    process.on(signal, handler);
    return () => process.removeListener(signal, handler);
  },
  now_ms: () => performance.now(),
};

/** As the htools do, takes any certificate: clusters sign their own. A user and a password may be in the address. */
async function get(url: string): Promise<string> {
  const { protocol, username, password } = new URL(url);
  // Loaded when it is needed: most runs read a file.
  const { request } = protocol === 'http:' ? await import('node:http') : await import('node:https');
  const auth =
    username === '' ? undefined : `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return new Promise((resolve, reject) => {
    const asked = request(
      url,
      {
        rejectUnauthorized: false,
        timeout: connect_timeout_ms,
        signal: AbortSignal.timeout(answer_timeout_ms),
        ...(auth === undefined ? {} : { auth }),
      },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('error', reject);
        answer.on('end', () => {
          const status = answer.statusCode ?? 0;
          if (status === 200) resolve(Buffer.concat(chunks).toString('utf8'));
          else reject(new Error(`answered with status ${status}, expected 200`));
        });
      },
    );
    asked.on('timeout', () => asked.destroy(new Error(`no answer within ${connect_timeout_ms / 1000} s`)));
    asked.on('error', reject);
    asked.end();
  });
}
