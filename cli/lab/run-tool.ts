/** Runs a program of the system to its end: an argument list, a time limit, its standard error in the error. */
import { spawn } from 'node:child_process';
import { CliError } from '../exit-status.ts';

/** Debian packages of the programs that the lab uses. */
const packages: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  nft: 'nftables',
  nsenter: 'util-linux',
  umount: 'mount',
  losetup: 'mount',
};

export interface ToolOptions {
  readonly input?: string;
  readonly timeout_ms?: number;
}

export class ToolError extends CliError {
  readonly stderr: string;
  constructor(message: string, next: string, stderr: string) {
    super(message, next);
    this.name = 'ToolError';
    this.stderr = stderr;
  }
}

/** Its standard output. Throws {@link ToolError} on any other end than status 0. */
export function runTool(argv: readonly [string, ...string[]], options: ToolOptions = {}): Promise<string> {
  const { input = '', timeout_ms = 15_000 } = options;
  const [program, ...args] = argv;
  const line = argv.join(' ');
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    const timer = setTimeout(() => child.kill('SIGKILL'), timeout_ms);
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.stdin.on('error', (error: NodeJS.ErrnoException) => {
      // A program that ends without reading says why by its status.
      if (error.code !== 'EPIPE') err.push(Buffer.from(error.message));
    });
    child.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      const missing = error.code === 'ENOENT';
      const name = packages[program] ?? program;
      const message = missing ? `the program "${program}" is missing` : `${line}: ${error.message}`;
      reject(new ToolError(message, missing ? `apt-get install ${name}` : 'the same as root', ''));
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (code === 0) {
        resolve(Buffer.concat(out).toString('utf8'));
        return;
      }
      const stderr = Buffer.concat(err).toString('utf8').trim();
      const why = signal === null ? `status ${code}` : `ended by ${signal} (limit ${timeout_ms} ms)`;
      reject(
        new ToolError(
          `${line}: ${why}${stderr === '' ? '' : `: ${stderr}`}`,
          'skein lab down, then up again',
          stderr,
        ),
      );
    });
    child.stdin.end(input);
  });
}
